// Package logwriter writes log lines with ascending numbers to a file, and goes
// on where the file ends when it is started again. Its flags are those of the
// program in examples/01.
package logwriter

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/outrigger-project/outrigger/devcluster/images/tools"
)

// Run writes lines until it is told to end, or all are written.
func Run(args []string) error {
	flags := flag.NewFlagSet("logwriter", flag.ContinueOnError)
	kind := flags.String("log-type", "nginx", "only nginx is known")
	stdout := flags.Bool("stdout", false, "write to standard output as well")
	stderr := flags.Bool("stderr", false, "write to standard error as well")
	path := flags.String("path", "/var/log/nginx/access.log", "the file; its lines begin with their number")
	total := flags.Int("total-count", 1_000_000_000, "how many lines to write")
	rate := flags.Int("logs-per-sec", 10, "how many lines to write a second")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *kind != "nginx" || *rate < 1 {
		return errors.New("--log-type must be nginx, --logs-per-sec at least 1")
	}
	n, err := lastNumber(*path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(*path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(*path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	to := []io.Writer{file}
	if *stdout {
		to = append(to, os.Stdout)
	}
	if *stderr {
		to = append(to, os.Stderr)
	}
	return write(io.MultiWriter(to...), n, *total, *rate)
}

func write(to io.Writer, n, total, rate int) error {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	end := tools.Terminated()
	for written := 0; written < total; written++ {
		n++
		if _, err := fmt.Fprintf(to, "%d %s \"GET / HTTP/1.1\" 200\n", n, time.Now().Format(time.RFC3339Nano)); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-end:
			return nil
		}
	}
	<-end
	return nil
}

// lastNumber is the number of the last whole line of a file, 0 without one.
func lastNumber(path string) (int, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	lines := bytes.Split(b, []byte("\n"))
	for i := len(lines) - 2; i >= 0; i-- { // the last one is empty, or was cut off
		number, _, _ := bytes.Cut(lines[i], []byte(" "))
		if n, err := strconv.Atoi(string(number)); err == nil {
			return n, nil
		}
	}
	return 0, nil
}
