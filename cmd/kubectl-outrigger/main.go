// Command kubectl-outrigger is the kubectl plugin: kubectl outrigger inject and its like.
package main

import (
	"os"

	"github.com/outrigger-project/outrigger/internal/app/kubectl"
)

func main() {
	os.Exit(kubectl.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
