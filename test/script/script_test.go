// Package script runs the command line's stories: each .txtar file is a script of commands and what they
// print (github.com/rogpeppe/go-internal/testscript; `go doc testscript` lists the commands).
//
// The command under test runs in a process of its own, in an empty folder that holds the script's files and
// the examples of the repository, and reaches no cluster.
package script

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/outrigger-project/outrigger/internal/app/kubectl"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kubectl-outrigger": func() { os.Exit(kubectl.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

func TestScripts(t *testing.T) {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: ".",
		Setup: func(e *testscript.Env) error {
			return os.Symlink(examples, filepath.Join(e.WorkDir, "examples"))
		},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}
