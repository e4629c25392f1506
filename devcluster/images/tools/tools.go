// Package tools is the small programs that hooks and probes of tests call.
package tools

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// All are the tools by name.
func All() map[string]func([]string) error {
	return map[string]func([]string) error{
		"cat":     cat,
		"echo":    func(args []string) error { _, err := fmt.Println(strings.Join(args, " ")); return err },
		"env":     func([]string) error { _, err := fmt.Println(strings.Join(os.Environ(), "\n")); return err },
		"false":   func([]string) error { return errors.New("as always") },
		"fetch":   fetch,
		"forever": forever,
		"ls":      ls,
		"mkdir":   each(func(path string) error { return os.MkdirAll(path, 0o755) }),
		"rm":      each(os.RemoveAll),
		"sleep":   sleep,
		"touch":   each(touch),
		"true":    func([]string) error { return nil },
	}
}

// each applies a function to all arguments that are no flags.
func each(do func(path string) error) func([]string) error {
	return func(args []string) error {
		for _, a := range args {
			if strings.HasPrefix(a, "-") {
				continue
			}
			if err := do(a); err != nil {
				return err
			}
		}
		return nil
	}
}

func cat(args []string) error {
	return each(func(path string) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(os.Stdout, f)
		return err
	})(args)
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	now := time.Now()
	return os.Chtimes(path, now, now)
}

func ls(args []string) error {
	if len(args) == 0 {
		args = []string{"."}
	}
	return each(func(path string) error {
		entries, err := os.ReadDir(path)
		for _, e := range entries {
			fmt.Println(e.Name())
		}
		return err
	})(args)
}

// sleep takes seconds, or a duration such as 1m.
func sleep(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: sleep SECONDS")
	}
	d, err := time.ParseDuration(args[0])
	if err != nil {
		d, err = time.ParseDuration(args[0] + "s")
	}
	if err != nil {
		return err
	}
	select {
	case <-time.After(d):
		return nil
	case <-Terminated():
		return errors.New("terminated")
	}
}

// fetch prints what a URL answers and fails when that is no success.
func fetch(args []string) error {
	return each(func(url string) error {
		resp, err := (&http.Client{Timeout: 5 * time.Second}).Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
			return err
		}
		if resp.StatusCode >= http.StatusBadRequest {
			return errors.New(resp.Status)
		}
		return nil
	})(args)
}

// forever does nothing until it is told to end.
func forever([]string) error {
	<-Terminated()
	return nil
}

// Terminated gets a value when the program is to end. Programs ask for it
// before they say that they run: the first process of a container is not ended
// by a signal that it does not handle.
func Terminated() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT)
	return c
}
