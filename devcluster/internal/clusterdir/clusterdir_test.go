package clusterdir

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newDir(t *testing.T) Dir {
	t.Helper()
	d, err := Open(filepath.Join(t.TempDir(), "c"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Create(); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestLock_isHeldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // so that patience costs nothing
		d := newDir(t)
		first, err := d.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Lock(t.Context()); !errors.Is(err, ErrLocked) {
			t.Errorf("second lock: %v, want ErrLocked", err)
		}
		time.AfterFunc(lockPatience/2, func() { first.Close() })
		again, err := d.Lock(t.Context())
		if err != nil {
			t.Fatalf("although it was given back soon: %v", err)
		}
		again.Close()
	})
}

func TestChoosePorts_keepsThemUnlessTaken(t *testing.T) {
	d := newDir(t)
	first, err := d.ChoosePorts()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range first.all() {
		if seen[*p] || *p < firstPort || *p > lastPort {
			t.Errorf("ports %+v: twice the same, or out of range", first)
		}
		seen[*p] = true
	}
	second, err := d.ChoosePorts()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("ports changed:\n%s", diff)
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: first.APIServer})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	third, err := d.ChoosePorts()
	if err != nil {
		t.Fatal(err)
	}
	if third.APIServer == first.APIServer {
		t.Error("a port that is taken was chosen")
	}
	third.APIServer = first.APIServer
	if diff := cmp.Diff(first, third); diff != "" {
		t.Errorf("other ports changed:\n%s", diff)
	}
}

func TestSocket_fitsIntoASocketAddress(t *testing.T) {
	short, long := Dir("/a"), Dir("/"+strings.Repeat("long/", 30))
	if got := short.Socket(); got != "/a/control.sock" {
		t.Errorf("short folder: %s", got)
	}
	if got := long.Socket(); len(got) > maxSocketPath || got == Dir(long+"x").Socket() {
		t.Errorf("long folder: %s is too long or not its own", got)
	}
}

func TestDelete_leavesWhatIsNotOurs(t *testing.T) {
	d := newDir(t)
	if err := d.WriteState("x"); err != nil {
		t.Fatal(err)
	}
	mine := d.join("notes.txt")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(string(d))
	if err != nil || len(entries) != 1 || entries[0].Name() != "notes.txt" {
		t.Errorf("left %v (%v), want only notes.txt", entries, err)
	}
	if err := os.Remove(mine); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(); err != nil {
		t.Fatal(err)
	}
	if d.Exists() {
		t.Error("the empty folder was left")
	}
}

func TestState_readsBack(t *testing.T) {
	d := newDir(t)
	var got map[string]int
	if found, err := d.ReadState(&got); found || err != nil {
		t.Errorf("before it was written: %v, %v", found, err)
	}
	want := map[string]int{"a": 1}
	if err := d.WriteState(want); err != nil {
		t.Fatal(err)
	}
	if found, err := d.ReadState(&got); !found || err != nil || !cmp.Equal(want, got) {
		t.Errorf("got %v, %v, %v", got, found, err)
	}
	if err := os.WriteFile(d.stateFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ReadState(&got); err == nil || !strings.Contains(err.Error(), "state.json") {
		t.Errorf("broken file: error %v, want one that names it", err)
	}
}
