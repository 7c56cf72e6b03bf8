package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// narinfo compares requests a second and the slowest hundredth: hits and misses at a gateway, an existing file at nginx,
// and a bare net/http handler that writes the same bytes.
func (b *bench) narinfo(ctx context.Context) error {
	alice, _, err := b.publisher(ctx, "narinfo-alice", b.r1[:1])
	if err != nil {
		return err
	}
	if err := alice.ask(ctx, nil, "use", "acme-1"); err != nil {
		return err
	}
	hash := filepath.Base(b.r1[0])[:32]
	text, err := body(ctx, alice.gateway+"/"+hash+".narinfo")
	if err != nil {
		return err
	}
	root := filepath.Join(b.dir, "narinfo-root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, hash+".narinfo"), text, 0o644); err != nil {
		return err
	}
	nginx, stop, err := b.nginx(ctx, root)
	if err != nil {
		return err
	}
	bare, stopBare, err := bareServer(text)
	if err != nil {
		return err
	}
	slow := make(map[string][]float64)
	urls := map[string]string{"nginx": nginx + "/" + hash + ".narinfo", "bare": bare + "/", "hit": alice.gateway + "/" + hash + ".narinfo",
		"miss": alice.gateway + "/00000000000000000000000000000000.narinfo"}
	var rivals []rival
	for name, url := range urls {
		rivals = append(rivals, rival{name, func(int) (float64, error) {
			rate, p, err := wrk(ctx, url)
			slow[name] = append(slow[name], p)
			return rate, err
		}})
	}
	rates, err := b.medians(rivals...)
	if err != nil {
		return err
	}
	p99 := func(name string) float64 {
		slices.Sort(slow[name])
		return slow[name][len(slow[name])/2]
	}
	b.line("narinfo hits a second, 32 connections", rates["hit"], rates["nginx"], "/s", "nginx, narinfo file")
	b.line("narinfo misses a second, 32 connections", rates["miss"], rates["nginx"], "/s", "nginx, narinfo file")
	b.line("narinfo hit, 99th percentile", p99("hit"), p99("bare"), "ms", "bare net/http")
	b.line("narinfo miss, 99th percentile", p99("miss"), p99("bare"), "ms", "bare net/http")
	b.alone("bare net/http handler, same bytes", rates["bare"], "/s", "")
	return errors.Join(stop(), stopBare(), alice.drop())
}

func body(ctx context.Context, url string) ([]byte, error) {
	return exec.CommandContext(ctx, "curl", "-sf", url).Output()
}

// bareServer is this program again, as a process of its own, serving text to everybody.
func bareServer(text []byte) (url string, stop func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/x-nix-narinfo")
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = w.Write(text) // who went away does not want it
	})}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	return "http://" + l.Addr().String(), func() error {
		err := srv.Close()
		if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}, nil
}

// wrk loads url for three seconds and returns requests a second and the 99th percentile in milliseconds.
func wrk(ctx context.Context, url string) (rate, p99 float64, err error) {
	out, err := exec.CommandContext(ctx, "wrk", "-t2", "-c32", "-d3s", "--latency", url).CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("wrk: %w: %s", err, out)
	}
	if m := regexp.MustCompile(`Requests/sec:\s+([\d.]+)`).FindSubmatch(out); m != nil {
		rate, err = strconv.ParseFloat(string(m[1]), 64)
	}
	if m := regexp.MustCompile(`99%\s+([\d.]+)(us|ms|s)`).FindSubmatch(out); m != nil && err == nil {
		p99, err = strconv.ParseFloat(string(m[1]), 64)
		p99 *= map[string]float64{"us": 1e-3, "ms": 1, "s": 1e3}[string(m[2])]
	}
	return rate, p99, err
}
