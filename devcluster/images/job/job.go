// Package job is programs that end: one that does its work, one that fails.
package job

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/outrigger-project/outrigger/devcluster/images/shell"
	"github.com/outrigger-project/outrigger/devcluster/images/tools"
)

// Run works for a while and ends with a code.
func Run(args []string) error {
	flags := flag.NewFlagSet("job", flag.ContinueOnError)
	lasts := flags.Duration("for", time.Second, "how long it takes")
	code := flags.Int("exit-code", 0, "how it ends")
	if err := flags.Parse(args); err != nil {
		return err
	}
	end := tools.Terminated()
	fmt.Printf("job %s begins\n", os.Getenv("VERSION"))
	select {
	case <-time.After(*lasts):
	case <-end:
		return errors.New("terminated before it was done")
	}
	fmt.Printf("job %s is done\n", os.Getenv("VERSION"))
	if *code != 0 {
		return shell.Exit(*code)
	}
	return nil
}

// Fail always fails, with code 1.
func Fail([]string) error { return errors.New("this image always fails") }
