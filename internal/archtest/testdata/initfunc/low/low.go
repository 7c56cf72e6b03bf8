// Package low runs by itself.
package low

func init() {}
