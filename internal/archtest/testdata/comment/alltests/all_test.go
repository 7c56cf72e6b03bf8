// Package alltests is tests alone.
package alltests_test
