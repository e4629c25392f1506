// Package arch holds the law of the code as tests: who may import whom, how large a file may grow, what no
// package may do. A failing law prints why it exists. It has no code of its own.
//
// imports_test.go is the import law, tidy_test.go everything about the shape of files.
package arch
