package pages

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/flurry-nix/flurry/report"
)

// Requests are counts of what Nix asked, since the start.
type Requests struct {
	NarInfos map[string]uint64 // by outcome: given, not-here, late, failed, aborted, left
	Nars     map[string]uint64 // likewise
	Refused  uint64            // with a foreign Host or Origin
	Waiting  int               // questions under way
}

// metrics are what is measured, by the names that docs/METRICS.md has; a test compares.
type metrics struct {
	Options
	process *prometheus.Registry // of this process; there may be many nodes in one

	build, up, start, requests, refused, waiting, duration, given      *prometheus.Desc
	received, pulled, sent, peers, announced, records                  *prometheus.Desc
	used, quota, chunks, packs, free, reserve, inPlace, inPlacePaths   *prometheus.Desc
	paths, publications, serving, synced, serial, expires, use, queued *prometheus.Desc
	problems                                                           *prometheus.Desc
}

func newMetrics(o Options) (*metrics, error) {
	of := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("flurry_"+name, help, labels, nil)
	}
	m := &metrics{Options: o, process: prometheus.NewRegistry(),
		build:    of("build_info", "1, with the version of the program.", "version"),
		up:       of("up", "1 when the node could say how it is, else 0."),
		start:    of("start_time_seconds", "When the node started, in seconds of Unix time."),
		requests: of("gateway_requests_total", "Answers to Nix.", "kind", "outcome"),
		refused:  of("gateway_refused_total", "Requests with a foreign Host or Origin."),
		waiting:  of("gateway_requests_waiting", "Questions of Nix's under way."),
		duration: of("gateway_narinfo_seconds", "How long the remembered answers to narinfo questions took.", "quantile"),
		given:    of("gateway_nar_bytes_total", "Bytes of NARs that were given to Nix."),

		received:  of("peer_received_bytes_total", "Payload from peers.", "where"),
		pulled:    of("origin_received_bytes_total", "Bytes of narinfos and NARs from HTTP caches, as they were sent."),
		sent:      of("peer_sent_bytes_total", "Payload to peers.", "where"),
		peers:     of("peers", "Peers that are connected.", "where"),
		announced: of("dht_announced_keys", "Keys that are kept in the DHT."),
		records:   of("dht_records_sent_total", "Records that were told to nodes of the DHT."),

		used:         of("store_used_bytes", "What the store takes up on the disk."),
		quota:        of("store_quota_bytes", "What it may take up; 0: no bound."),
		chunks:       of("store_chunks", "Chunks in the store."),
		packs:        of("store_packs", "Pack files."),
		free:         of("disk_free_bytes", "What is free on the store's disk."),
		reserve:      of("disk_reserve_bytes", "What of it is left free."),
		inPlace:      of("in_place_bytes", "NARs that are read from /nix/store and lie nowhere else."),
		inPlacePaths: of("in_place_paths", "How many they are."),

		paths:        of("namespace_paths", "Paths that a namespace lists.", "namespace"),
		publications: of("namespace_publications", "Publications that count.", "namespace"),
		serving:      of("namespace_peers", "Connected peers that answer for a namespace.", "namespace"),
		synced:       of("namespace_synced_time_seconds", "When the catalog was last the same as a peer's, in seconds of Unix time.", "namespace"),
		serial:       of("namespace_document_serial", "Serial of the document that is followed.", "namespace"),
		expires:      of("namespace_document_expires_seconds", "When the document ends, in seconds of Unix time.", "namespace"),
		use:          of("namespace_in_use", "1 when Nix is given what the namespace publishes.", "namespace"),
		queued:       of("namespace_queued_paths", "Paths that wait to be published.", "namespace"),

		problems: of("problems", "What flurry status complains of, by its id.", "id"),
	}
	for _, c := range []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := m.process.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// ServeHTTP measures, and answers.
func (m *metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := prometheus.NewRegistry()
	if err := now.Register(&scrape{m, r.Context()}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	promhttp.HandlerFor(prometheus.Gatherers{m.process, now}, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

// scrape is one measurement, for the request that asks for it.
type scrape struct {
	*metrics
	ctx context.Context
}

// Describe names nothing: which namespaces and problems there are changes.
func (m *scrape) Describe(chan<- *prometheus.Desc) {}

// Collect asks the node.
func (m *scrape) Collect(out chan<- prometheus.Metric) {
	gauge := gauges(out)
	gauge(m.build, 1, m.Version)
	s, err := m.Node.Status(m.ctx, false)
	if err != nil {
		gauge(m.up, 0)
		return
	}
	gauge(m.up, 1)
	m.gateway(out, s)
	m.network(out, s)
	m.store(out, s)
	for _, n := range s.Namespaces {
		m.namespace(out, n)
	}
	found := make(map[string]int)
	for _, p := range s.Problems {
		found[p.ID]++
	}
	for id, n := range found {
		gauge(m.problems, float64(n), id)
	}
}

func (m *metrics) gateway(out chan<- prometheus.Metric, s report.Status) {
	counter, gauge := counters(out), gauges(out)
	gauge(m.start, float64(m.Now().Add(-time.Duration(s.Node.Uptime*float64(time.Second))).Unix()))
	r := m.Node.Requests()
	for outcome, n := range r.NarInfos {
		counter(m.requests, float64(n), "narinfo", outcome)
	}
	for outcome, n := range r.Nars {
		counter(m.requests, float64(n), "nar", outcome)
	}
	counter(m.refused, float64(r.Refused))
	gauge(m.waiting, float64(r.Waiting))
	gauge(m.duration, s.Gateway.Median, "0.5")
	gauge(m.duration, s.Gateway.Max, "1")
	counter(m.given, float64(s.Traffic.NarBytes))
}

func (m *metrics) network(out chan<- prometheus.Metric, s report.Status) {
	counter, gauge := counters(out), gauges(out)
	t, n := s.Traffic, s.Network
	counter(m.received, float64(t.ReceivedLAN), "lan")
	counter(m.received, float64(t.Received-min(t.ReceivedLAN, t.Received)), "wan")
	counter(m.pulled, float64(t.ReceivedOrigins))
	counter(m.sent, float64(t.Sent-min(t.SentWAN, t.Sent)), "lan")
	counter(m.sent, float64(t.SentWAN), "wan")
	gauge(m.peers, float64(n.LAN), "lan")
	gauge(m.peers, float64(n.Peers-n.LAN), "wan")
	gauge(m.announced, float64(n.Announced))
	counter(m.records, float64(n.Records))
}

func (m *metrics) store(out chan<- prometheus.Metric, s report.Status) {
	gauge := gauges(out)
	gauge(m.used, float64(s.Store.Bytes))
	gauge(m.quota, float64(s.Store.Quota))
	gauge(m.chunks, float64(s.Store.Chunks))
	gauge(m.packs, float64(s.Store.Packs))
	gauge(m.free, float64(s.Store.DiskFree))
	gauge(m.reserve, float64(s.Store.Reserve))
	gauge(m.inPlace, float64(s.Store.InPlace))
	gauge(m.inPlacePaths, float64(s.Store.InPlacePaths))
}

func (m *metrics) namespace(out chan<- prometheus.Metric, n report.Namespace) {
	gauge := gauges(out)
	gauge(m.paths, float64(n.Paths), n.Alias)
	gauge(m.publications, float64(n.Publications), n.Alias)
	gauge(m.serving, float64(n.Serving), n.Alias)
	gauge(m.serial, float64(n.Serial), n.Alias)
	gauge(m.queued, float64(n.Queued), n.Alias)
	use := 0.0
	if n.Trusted {
		use = 1
	}
	gauge(m.use, use, n.Alias)
	if n.Synced != nil {
		gauge(m.synced, float64(n.Synced.Unix()), n.Alias)
	}
	if n.Expires != nil {
		gauge(m.expires, float64(n.Expires.Unix()), n.Alias)
	}
}

type emit func(d *prometheus.Desc, v float64, labels ...string)

func counters(out chan<- prometheus.Metric) emit { return emitter(out, prometheus.CounterValue) }

func gauges(out chan<- prometheus.Metric) emit { return emitter(out, prometheus.GaugeValue) }

func emitter(out chan<- prometheus.Metric, kind prometheus.ValueType) emit {
	return func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
}
