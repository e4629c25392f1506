package probes

import (
	"net"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// BenchmarkConnect is one tcp probe of what listens on this machine; what the kernel and the listener do is in it, too.
func BenchmarkConnect(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	task := taskTo(b, listener.Addr().String(), corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{}})
	b.ReportAllocs()
	for b.Loop() {
		if o := connect(b.Context(), task); !o.Succeeded {
			b.Fatalf("%+v", o)
		}
	}
}
