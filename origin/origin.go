package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flurry-nix/flurry/nix"
)

// ErrAbsent says that the cache does not have what it was asked for, or has
// something else there that nobody could use.
var ErrAbsent = errors.New("not in the cache")

// StatusError is an answer that is neither what was asked for nor "not here".
type StatusError struct{ Status string }

func (e *StatusError) Error() string { return "HTTP " + e.Status }

// Options are an Origin's settings. The zero value is usable.
type Options struct {
	// Transport carries the requests; nil is one of the Origin's own. It must not
	// decompress by itself.
	Transport http.RoundTripper
	// UserAgent names this program and its version; "" is "flurry".
	UserAgent string
}

// Origin asks one HTTP cache. It keeps up to maxConnections connections open and
// is safe for concurrent use. Close it in the end.
type Origin struct {
	base   *url.URL // ends in a slash; no query, no user
	user   *url.Userinfo
	agent  string
	client *http.Client
	own    *http.Transport // nil if it is somebody else's

	decoders decoders
	received atomic.Uint64
}

// New returns an Origin for the cache at an http or https URL. A query, which is
// for Nix, is left out; a user and password are sent to the cache alone.
func New(base string, o Options) (*Origin, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("origin: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Opaque != "" {
		return nil, fmt.Errorf("origin %.200q is not an http:// or https:// URL of a cache", base)
	}
	or := &Origin{user: u.User, agent: o.UserAgent}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	or.base = u.JoinPath("/")
	if or.agent == "" {
		or.agent = "flurry"
	}
	transport := o.Transport
	if transport == nil {
		or.own = newTransport()
		transport = or.own
	}
	or.client = &http.Client{Transport: transport, CheckRedirect: or.redirect}
	return or, nil
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    tlsTimeout,
		ResponseHeaderTimeout:  headTimeout,
		MaxConnsPerHost:        maxConnections,
		MaxIdleConnsPerHost:    maxConnections,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		// Go would take a NAR apart that a cache has compressed once more, and
		// not say so.
		DisableCompression: true,
		ForceAttemptHTTP2:  true,
	}
}

// Close gives the connections back that nobody uses.
func (o *Origin) Close() {
	if o.own != nil {
		o.own.CloseIdleConnections()
	}
}

// Received returns how many bytes of narinfos and files the cache has sent, as it sent them.
func (o *Origin) Received() uint64 { return o.received.Load() }

// counted counts what is read of a body.
type counted struct {
	io.ReadCloser
	all *atomic.Uint64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.all.Add(uint64(n))
	return n, err
}

// String returns the URL, without user and password.
func (o *Origin) String() string { return o.base.String() }

// redirect allows some redirects, none from https to http, and sends the
// password nowhere else.
func (o *Origin) redirect(r *http.Request, via []*http.Request) error {
	before := via[len(via)-1].URL
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case r.URL.Scheme != "https" && r.URL.Scheme != "http", r.URL.Scheme == "http" && before.Scheme == "https":
		return fmt.Errorf("redirected from %s to %s", before.Scheme, r.URL.Scheme)
	}
	r.Header.Del("Referer")
	if r.URL.Host != o.base.Host || r.URL.Scheme != o.base.Scheme {
		r.Header.Del("Authorization")
	}
	return nil
}

// get asks for something below the base, with more in the header. The answer is
// 200, or 206 if a range was asked for.
func (o *Origin) get(ctx context.Context, ref string, more http.Header) (*http.Response, error) {
	u, err := o.base.Parse(ref)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	if u.Scheme != o.base.Scheme || u.Host != o.base.Host || !strings.HasPrefix(u.Path, o.base.Path) {
		return nil, fmt.Errorf("%w: %.200q is outside of %s", ErrAbsent, ref, o)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	for name, values := range more {
		r.Header[name] = values
	}
	r.Header.Set("User-Agent", o.agent)
	r.Header.Set("Accept-Encoding", "identity")
	if o.user != nil {
		password, _ := o.user.Password()
		r.SetBasicAuth(o.user.Username(), password)
	}
	a, err := o.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o, unwrapURL(err))
	}
	a.Body = counted{a.Body, &o.received}
	switch a.StatusCode {
	case http.StatusOK:
		return a, nil
	case http.StatusPartialContent:
		if more.Get("Range") != "" {
			return a, nil
		}
		err = fmt.Errorf("%s: %w", o, &StatusError{a.Status})
	case http.StatusNotFound, http.StatusGone, http.StatusForbidden, http.StatusUnauthorized, http.StatusProxyAuthRequired:
		// Object stores say 403 of what they do not have, and Nix takes 401 for
		// the same.
		err = fmt.Errorf("%w: %s: HTTP %s", ErrAbsent, o, a.Status)
	default:
		err = fmt.Errorf("%s: %w", o, &StatusError{a.Status})
	}
	drain(a.Body)
	return nil, err
}

// drain closes a body, and reads it before if that is soon done.
func drain(body io.ReadCloser) {
	late := time.AfterFunc(drainTime, func() { body.Close() }) // a Read that waits returns
	io.CopyN(io.Discard, body, drainBytes)
	late.Stop()
	body.Close()
}

// unwrapURL leaves the URL out of an error, which may have a password in it.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Check asks what the cache says of itself, as Nix does first, and returns why nothing could be had from it: it does not answer, there is
// no cache, or it is one for another directory than /nix/store.
func (o *Origin) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	a, err := o.get(ctx, "nix-cache-info", nil)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	body, err := o.decoders.of(a.Body, a.Header.Get("Content-Encoding"))
	if err != nil {
		return o.unopened(ctx, err)
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, nix.MaxNarInfo))
	if err != nil {
		return fmt.Errorf("%s: nix-cache-info: %w", o, err)
	}
	for line := range strings.Lines(string(text)) {
		if dir, ok := strings.CutPrefix(line, "StoreDir:"); ok {
			if dir = strings.TrimSpace(dir); dir != nix.StoreDir {
				return fmt.Errorf("%w: %s is a cache for %.100q", ErrAbsent, o, dir)
			}
			return nil
		}
	}
	return fmt.Errorf("%w: %s/nix-cache-info is that of no cache: it names no StoreDir", ErrAbsent, strings.TrimSuffix(o.String(), "/"))
}

// Info asks for the narinfo of a path. What is no narinfo, or that of another
// path, or one of a NAR that cannot be read, is ErrAbsent: captive portals and error pages say 200.
func (o *Origin) Info(ctx context.Context, h nix.PathHash) (*nix.NarInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	a, err := o.get(ctx, h.String()+".narinfo", nil)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	body, err := o.decoders.of(a.Body, a.Header.Get("Content-Encoding"))
	if err != nil {
		return nil, o.unopened(ctx, err)
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, nix.MaxNarInfo+1))
	if err != nil {
		return nil, fmt.Errorf("%s: narinfo of %s: %w", o, h, err)
	}
	info, err := nix.ParseNarInfo(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrAbsent, o, err)
	}
	if info.StorePath.Hash() != h {
		return nil, fmt.Errorf("%w: %s gives %s for %s", ErrAbsent, o, info.StorePath, h)
	}
	if _, err := o.decoders.decoder(info.Compression); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrAbsent, o, err)
	}
	return info, nil
}

// Nar opens the NAR that info, of this cache, names. What is read is the NAR
// itself: exactly info.NarSize bytes, or an error other than io.EOF in the end.
// Its hash is not checked. FileHash and FileSize are not looked at, since nobody
// signs them. A file that breaks off is gone on with where it broke, some times, if
// the cache can. The reader must be closed, not while it is read; ctx ends it.
func (o *Origin) Nar(ctx context.Context, info *nix.NarInfo) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	a, err := o.get(ctx, info.URL, nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	f := newFile(ctx, o, info.URL, a)
	n := &nar{ctx: ctx, cancel: cancel, body: f, left: info.NarSize}
	n.input = io.LimitReader(&watched{r: f, stop: cancel, stall: stallTimeout, window: slowTime, least: slowBytes}, maxCompressed(info.NarSize))
	if n.output, err = n.open(&o.decoders, info.Compression, a.Header.Get("Content-Encoding")); err != nil {
		why := o.unopened(ctx, err) // before closing ends ctx
		n.Close()
		return nil, why
	}
	return n, nil
}

// unopened is what it means that the beginning of a file could not be decoded: the file is none, or it broke off there.
func (o *Origin) unopened(ctx context.Context, err error) error {
	var broken net.Error
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s: %w", o, cause)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken) {
		return fmt.Errorf("%s: %w", o, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrAbsent, o, err)
}
