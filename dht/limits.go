package dht

// MaxAddrs is how many addresses of one peer are handed on. A node has two
// transports on two address families, perhaps a private and a public address of
// each; whoever lists more wants somebody else dialled.
const MaxAddrs = 8
