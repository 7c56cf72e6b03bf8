package archtest

// house is the table of this module: which packages there are, what each may
// import, and where a rule does not hold. A package that is not in it fails the
// test: it is put here, where its neighbours can be seen, before it is written.
//
// Imports point down, from a tier to lower ones, never within a tier:
//
//	0-3  the vocabulary, each word made of those before it; no clock, no network
//	4    one noun each: what is known, kept, asked, found, shown
//	5-7  the nouns on a disk or a network, and the fakes and suites of each
//	8    the verbs and the servers, which know each other by interfaces of their own
//	9    the command, which wires everything
func house() rules {
	return rules{
		module: "github.com/flurry-nix/flurry",
		rows: []row{
			{"nix", 0, "", "os"}, // os: dump.go and narfile.go, which archive a path
			{"internal/durable", 0, "", "os"},
			{"internal/archtest", 0, "", "os"},

			{"content", 1, "nix", ""},
			{"nix/daemon", 1, "nix", "clock exec net os"},
			{"internal/spool", 1, "internal/durable nix", "os"},
			{"internal/setup", 1, "internal/durable", "exec os"},
			{"origin", 1, "nix", "clock http net"},
			{"nix/nixtest", 1, "nix", "exec os"},
			{"internal/handover", 1, "", "clock net os"},
			{"internal/netlab", 1, "", "exec net os"},
			{"internal/durable/durabletest", 1, "internal/durable", "os"},

			{"namespace", 2, "content nix", ""},
			{"nix/watch", 2, "nix/daemon nix", "clock os"},

			{"trust", 3, "namespace content nix", ""},
			{"peer", 3, "", "net"},

			{"catalog", 4, "trust namespace content nix", ""},
			{"store", 4, "namespace content nix", ""},
			{"transfer", 4, "peer namespace content nix", ""},
			{"dht", 4, "peer namespace nix", ""},
			{"report", 4, "namespace nix", ""},
			{"transfer/stream/pb", 4, "", ""},
			{"transfer/transfertest/sample", 4, "namespace content nix", ""},

			{"catalog/disk", 5, "catalog", "os pebble"},
			{"catalog/catalogtest", 5, "catalog trust namespace content nix", "clock"},
			{"store/disk", 5, "store namespace content internal/durable", "clock os pebble"},
			{"store/inplace", 5, "store content nix", ""},
			{"store/storetest", 5, "store namespace content", "clock"},
			{"dht/kad", 5, "dht peer", "clock libp2p os pebble"},
			{"dht/dhttest", 5, "dht peer", "clock"},
			{"peer/static", 5, "peer", "clock libp2p net os"}, // os: why a dial failed
			{"peer/mdns", 5, "peer", "clock libp2p net"},
			{"transfer/wire", 5, "transfer namespace content nix", "clock os"}, // os: its timeout errors

			{"transfer/ledger", 6, "transfer/wire transfer peer", "clock"},

			{"transfer/stream", 7, "transfer/ledger transfer/wire transfer/stream/pb transfer peer namespace content nix internal/durable", "clock libp2p net os"},
			{"transfer/transfertest", 7, "transfer/ledger transfer/wire transfer/transfertest/sample transfer peer namespace content nix", "clock os"},

			{"node", 8, "catalog store transfer dht report trust peer namespace content nix/daemon nix", "clock"},
			{"httpgateway", 8, "trust namespace nix", "clock http net"},
			{"httpgateway/pages", 8, "report nix", "clock http"},
			{"control", 8, "report namespace nix", "clock http net os"},

			{"cmd/flurry", 9, "node httpgateway/pages httpgateway control " +
				"catalog/disk store/disk store/inplace dht/kad peer/static peer/mdns transfer/stream origin nix/daemon " +
				"catalog store transfer dht report trust peer namespace content nix/watch nix internal/durable internal/handover internal/setup internal/spool",
				"clock exec http libp2p net os"},
			{"bench", 9, "internal/netlab catalog/disk store/disk catalog store report trust namespace content nix", "clock exec http net os"},
			{"cmd/flurry/e2e", 9, "internal/netlab nix/nixtest", "clock exec http net os"},
		},
		exceptions: []exception{
			{"content/gear.go", "gearTable", "constants; Go has no constant arrays"},
			{"content/matcher.go", "isNix32", "constants; Go has no constant arrays"},
			{"content/id.go", "cidEncoding", "an encoding cannot be changed once it is made"},
			{"cmd/flurry/verbnew.go", "newName", "a regular expression cannot be changed once it is made"},
			{"cmd/flurry/verbpublish.go", "pinName", "a regular expression cannot be changed once it is made"},
			{"cmd/flurry/units.go", "number", "a regular expression cannot be changed once it is made"},
			{"cmd/flurry/derivation.go", "firstOutput", "a regular expression cannot be changed once it is made"},
			{"cmd/flurry/hook.go", "plainWord", "a regular expression cannot be changed once it is made"},
			{"cmd/flurry/hook.go", "oneOutput", "a regular expression cannot be changed once it is made"},
			{"cmd/flurry/configproblem.go", "wrongType", "a regular expression cannot be changed once it is made"},
			{"cmd/flurry/configproblem.go", "noTable", "a regular expression cannot be changed once it is made"},
			{"cmd/flurry/setupplan.go", "units", "an embedded file system cannot be changed"},
			{"httpgateway/pages/pages.go", "files", "an embedded file system cannot be changed"},
			{"catalog/disk/disk.go", "context.Background", "Pebble hands its logger none"},
			{"store/disk/pebble.go", "context.Background", "Pebble hands its logger none"},
			{"store/disk/store.go", "context.Background", "Close settles what was accepted, whoever waits for it"},
			{"transfer/stream/network.go", "context.Background", "connections outlive the call that opens the network; Close ends them"},
		},
	}
}
