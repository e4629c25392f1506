// Command sample is the program of all sample images: a shell, a few tools, and
// the applications that tests run. The name it is called with says which one it
// is; one file, so that a node fetches one layer for all of them.
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/outrigger-project/outrigger/devcluster/images/gameserver"
	"github.com/outrigger-project/outrigger/devcluster/images/job"
	"github.com/outrigger-project/outrigger/devcluster/images/logcollector"
	"github.com/outrigger-project/outrigger/devcluster/images/logwriter"
	"github.com/outrigger-project/outrigger/devcluster/images/proxy"
	"github.com/outrigger-project/outrigger/devcluster/images/shell"
	"github.com/outrigger-project/outrigger/devcluster/images/tools"
	"github.com/outrigger-project/outrigger/devcluster/images/web"
)

func main() {
	os.Exit(run(filepath.Base(os.Args[0]), os.Args[1:]))
}

// programs are all, by the names they are called with.
func programs() map[string]func([]string) error {
	all := tools.All()
	maps.Copy(all, map[string]func([]string) error{
		"sh":  shell.Run,
		"web": web.Run,

		"logwriter": logwriter.Run,
		"mock_log":  logwriter.Run, // of examples/01

		"logcollector":   logcollector.Run,
		"run_logtail.sh": logcollector.Run, // of examples/01
		"ilogtaild":      logcollector.Service,

		"proxy":      proxy.Run,
		"gameserver": gameserver.Run,
		"idle.sh":    gameserver.Idle, // of examples/05
		"job":        job.Run,
		"fails":      job.Fail,
	})
	return all
}

func run(name string, args []string) int {
	program := programs()[name]
	if program == nil {
		fmt.Fprintf(os.Stderr, "sample: no program %q\n", name)
		return 127
	}
	err := program(args)
	if err == nil {
		return 0
	}
	code, ok := err.(interface{ ExitCode() int })
	if !ok {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return code.ExitCode()
}
