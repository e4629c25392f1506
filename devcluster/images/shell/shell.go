// Package shell is the /bin/sh of the sample images, for hooks, probes and
// commands of tests: `sh -c COMMAND` and `sh FILE`.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// Exit is the end of a shell with a code.
type Exit int

func (e Exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// ExitCode is the code.
func (e Exit) ExitCode() int { return int(e) }

// Run is the shell.
func Run(args []string) error {
	text, name, rest, err := source(args)
	if err != nil {
		return err
	}
	file, err := syntax.NewParser().Parse(text, name)
	if err != nil {
		return err
	}
	// One command takes the place of the shell, as in other shells: signals
	// to the first process of a container must reach it.
	if command := single(file); command != nil {
		if err := replace(command); err != nil {
			return err
		}
	}
	runner, err := interp.New(interp.StdIO(os.Stdin, os.Stdout, os.Stderr), interp.Params(append([]string{"--"}, rest...)...))
	if err != nil {
		return err
	}
	err = runner.Run(context.Background(), file)
	var status interp.ExitStatus
	if errors.As(err, &status) {
		return Exit(status)
	}
	return err
}

func source(args []string) (text io.Reader, name string, rest []string, err error) {
	switch {
	case len(args) == 0:
		return os.Stdin, "stdin", nil, nil
	case args[0] == "-c" && len(args) > 1:
		if len(args) > 2 {
			rest = args[3:] // after $0
		}
		return strings.NewReader(args[1]), "sh", rest, nil
	case strings.HasPrefix(args[0], "-"):
		return nil, "", nil, errors.New("usage: sh [-c COMMAND | FILE]")
	}
	f, err := os.Open(args[0])
	return f, args[0], args[1:], err
}

// single returns the command if there is only one and nothing else to do.
func single(file *syntax.File) *syntax.CallExpr {
	if len(file.Stmts) != 1 {
		return nil
	}
	s := file.Stmts[0]
	call, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || s.Background || s.Negated || len(s.Redirs) > 0 || len(call.Assigns) > 0 || len(call.Args) == 0 {
		return nil
	}
	return call
}

// replace executes a command in place of the shell; it returns nil if the shell
// has to run it: it is built in, not found, or too difficult.
func replace(call *syntax.CallExpr) error {
	words, err := expand.Fields(&expand.Config{Env: expand.ListEnviron(os.Environ()...)}, call.Args...)
	if err != nil || len(words) == 0 || interp.IsBuiltin(words[0]) {
		return nil //nolint:nilerr // the shell will say it better
	}
	path, err := exec.LookPath(words[0])
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	return syscall.Exec(path, words, os.Environ())
}
