// Package mid has its comment in a file of its own.
package mid
