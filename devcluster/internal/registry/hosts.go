package registry

// Host is the name under which nodes know the registry; images of every other
// host are looked for in the same place.
const Host = "registry.devcluster"

// PrivateHost is the name of its private part.
const PrivateHost = "private.devcluster"

// Port is the public part's, on the registry's address; PrivatePort is the
// other's.
const (
	Port        = 5000
	PrivatePort = 5001
)

func ports() map[string]int { return map[string]int{Host: Port, PrivateHost: PrivatePort} }

// Hosts are the ports by the host of an image; "_default" stands for all hosts
// that are not named. So an image of any name can be had without a change, and
// nothing is ever fetched from the internet.
func Hosts() map[string]int { return map[string]int{"_default": Port, PrivateHost: PrivatePort} }
