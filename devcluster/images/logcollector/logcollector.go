// Package logcollector reads a log file as it grows and writes each line, behind
// its own version and a tab, to a file of its own. When it is told to end it
// goes on for a while before it does: `logcollector SECONDS`.
//
// How far it has come is kept beside its output: the next one, of whatever
// version, goes on there. A line that was written when it was killed may be
// written again; none is left out.
//
// Variables: LOG_PATH (default /var/log/nginx/access.log), COLLECTED_PATH
// (default: collected.log in the same folder).
package logcollector

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger-project/outrigger/devcluster/images/tools"
)

// pidFile tells Service which process collects.
const pidFile = "/tmp/logcollector.pid"

// Run collects until it is told to end, and then for so many seconds more.
func Run(args []string) error {
	var flush time.Duration
	if len(args) > 0 {
		seconds, err := strconv.Atoi(args[0])
		if err != nil || seconds < 0 {
			return fmt.Errorf("flush %q: a number of seconds", args[0])
		}
		flush = time.Duration(seconds) * time.Second
	}
	version := os.Getenv("VERSION")
	in := cmp.Or(os.Getenv("LOG_PATH"), "/var/log/nginx/access.log")
	out := cmp.Or(os.Getenv("COLLECTED_PATH"), filepath.Join(filepath.Dir(in), "collected.log"))
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		return err
	}
	fmt.Printf("collector %s starts\n", version)
	end := tools.Terminated()
	var last <-chan time.Time
	for {
		if err := collect(in, out, version); err != nil {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-end:
			fmt.Printf("collector %s flushes for %s\n", version, flush)
			last, end = time.After(flush), nil
		case <-last:
			fmt.Printf("collector %s ends\n", version)
			return collect(in, out, version)
		}
	}
}

// collect takes over the whole lines that are new.
func collect(in, out, version string) error {
	log, err := os.Open(in)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nobody has written yet
	}
	if err != nil {
		return err
	}
	defer log.Close()
	at, err := position(out)
	if err != nil {
		return err
	}
	if _, err := log.Seek(at, io.SeekStart); err != nil {
		return err
	}
	var batch bytes.Buffer
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break // the end, or half a line
		}
		at += int64(len(line))
		fmt.Fprintf(&batch, "%s\t%s", version, line)
	}
	if batch.Len() == 0 {
		return nil
	}
	file, err := os.OpenFile(out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(batch.Bytes())
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	// After the lines, and at once or not at all.
	if err := os.WriteFile(positionFile(out)+".new", []byte(strconv.FormatInt(at, 10)), 0o644); err != nil {
		return err
	}
	return os.Rename(positionFile(out)+".new", positionFile(out))
}

func positionFile(out string) string { return out + ".position" }

func position(out string) (int64, error) {
	b, err := os.ReadFile(positionFile(out))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(b), 10, 64)
}

// Service is `ilogtaild status`: it fails when no collector runs.
func Service(args []string) error {
	if len(args) != 1 || args[0] != "status" {
		return errors.New("usage: ilogtaild status")
	}
	b, err := os.ReadFile(pidFile)
	if err != nil {
		return fmt.Errorf("no collector runs: %w", err)
	}
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(b))); err != nil {
		return fmt.Errorf("no collector runs: %w", err)
	}
	fmt.Println("the collector runs")
	return nil
}
