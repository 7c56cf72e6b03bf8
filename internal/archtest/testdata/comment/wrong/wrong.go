// This is not how it begins.
package wrong
