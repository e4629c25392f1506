package images

import "github.com/outrigger-project/outrigger/devcluster/internal/registry"

// Sample is a sample image: one of the programs of images/sample, or pause.
type Sample struct {
	// References are all names it has; the same digest for all of them.
	References []string
	// Program is what runs: a program of images/sample, or pause.
	Program string
	// Version is what the program says it is, in the variable VERSION: two
	// versions of a program are two images.
	Version string
	// Links are further paths of images/sample, which knows by its name what to do.
	Links []string
	// Scripts are files with a text for the shell.
	Scripts map[string]string
	// Env are further variables.
	Env []string
	// Folders are made, for everybody to write into.
	Folders []string
}

// pauseProgram is the one that is not part of images/sample.
const pauseProgram = "pause"

// Catalog lists the sample images. The first reference of each is how tests
// call it, the others are names that appear in articles and examples; the
// README has the same list.
func Catalog() []Sample {
	const here = registry.Host + "/"
	logwriter := []string{"/bin/mock_log"}
	collector := []string{"/usr/local/ilogtail/run_logtail.sh", "/etc/init.d/ilogtaild"}
	game := []string{"/home/game/idle.sh"}
	// The new proxy of a hot upgrade takes over when it listens.
	migrate := map[string]string{"/migrate.sh": "until test -f /tmp/proxy-listens; do sleep 0.1; done\n"}
	nginx := []string{"PORT=80"}
	gameFolder := []string{"/home/game"}
	return []Sample{
		{References: []string{here + "pause:1"}, Program: pauseProgram, Version: "1"},
		{References: []string{here + "web:1", here + "web:1-again"}, Program: "web", Version: "1"},
		{References: []string{here + "web:2"}, Program: "web", Version: "2"},
		{References: []string{here + "web:3"}, Program: "web", Version: "3"},
		{References: []string{"nginx:1.14.2"}, Program: "web", Version: "1.14.2", Env: nginx},
		{References: []string{"nginx:1.14.3"}, Program: "web", Version: "1.14.3", Env: nginx},
		{References: []string{"nginx:1.15.1"}, Program: "web", Version: "1.15.1", Env: nginx},
		{References: []string{registry.PrivateHost + "/web:1"}, Program: "web", Version: "private-1"},
		{References: []string{registry.PrivateHost + "/web:2"}, Program: "web", Version: "private-2"},
		{References: []string{here + "logwriter:1", "log-service/docker-log-test:latest"}, Program: "logwriter", Version: "1", Links: logwriter},
		{References: []string{here + "logwriter:2"}, Program: "logwriter", Version: "2", Links: logwriter},
		{References: []string{here + "logcollector:1", "log-service/logtail:0.16.16"}, Program: "logcollector", Version: "0.16.16", Links: collector},
		{References: []string{here + "logcollector:2", "log-service/logtail:0.16.17"}, Program: "logcollector", Version: "0.16.17", Links: collector},
		{References: []string{here + "proxy:1", "openkruise/hotupgrade-sample:sidecarv1", "istio/proxyv2:1.4.3"}, Program: "proxy", Version: "1", Scripts: migrate},
		{References: []string{here + "proxy:2", "openkruise/hotupgrade-sample:sidecarv2", "istio/proxyv2:1.4.4"}, Program: "proxy", Version: "2", Scripts: migrate},
		{References: []string{here + "empty:1", "openkruise/hotupgrade-sample:empty"}, Program: "forever", Version: "1", Scripts: map[string]string{"/migrate.sh": "true\n"}},
		{References: []string{here + "gameserver:1"}, Program: "gameserver", Version: "1", Links: game, Folders: gameFolder},
		{References: []string{here + "gameserver:2"}, Program: "gameserver", Version: "2", Links: game, Folders: gameFolder},
		{References: []string{here + "job:1"}, Program: "job", Version: "1"},
		{References: []string{here + "job:2"}, Program: "job", Version: "2"},
		{References: []string{here + "fails:1"}, Program: "fails", Version: "1"},
	}
}

// tools are programs of images/sample that every sample image has in /bin.
func tools() []string {
	return []string{"sh", "cat", "echo", "env", "false", "fetch", "ls", "mkdir", "rm", "sleep", "touch", "true"}
}
