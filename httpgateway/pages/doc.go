// Package pages is what a person sees who opens the gateway in a browser, and what monitoring reads there.
//
// It owns the pages /, /why/HASH, /ns/ALIAS/ and /peers, the object /health and the metrics under /metrics. A page is HTML made
// here, with one stylesheet and nothing from elsewhere; it needs no script, and changes nothing. Asked for application/json a
// page gives the object that the command of the same meaning prints with --json.
//
// Every user of the machine can open the pages. So they show how the node is, and not what was asked of it: what Nix was told
// about a path is for `flurry why`, over the control socket.
//
// The package will not judge who may ask (httpgateway's door does), keep a history, or answer Nix.
package pages
