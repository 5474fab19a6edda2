#include <config.h>

#include "blob/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blob/base/cleanup.h"

/* Field 3 (state) and 22 (start time) of /proc/PID/stat; the second field is a
 * name in parentheses that may hold anything. */
static uint64_t read_stat(pid_t pid, char *state)
{
	char path[64], line[1024], *at;
	cleanup_close int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (n <= 0)
		return 0;
	line[n] = '\0';
	at = strrchr(line, ')');
	if (!at || at[1] != ' ')
		return 0;
	at += 2;
	*state = *at;
	for (int field = 3; field < 22 && at; field++) {
		at = strchr(at, ' ');
		if (at)
			at++;
	}
	return at ? strtoull(at, NULL, 10) : 0;
}

uint64_t process_start(pid_t pid)
{
	char state;

	return pid > 0 ? read_stat(pid, &state) : 0;
}

bool process_alive(pid_t pid, uint64_t start)
{
	char state = '\0';

	/* The pid is looked at before it is reaped: by now it may be another's. */
	if (pid <= 0 || !start || read_stat(pid, &state) != start)
		return false;
	if (state != 'Z' && state != 'X')
		return true;
	waitpid(pid, NULL, WNOHANG);
	return false;
}

bool process_gone(pid_t pid, uint64_t start)
{
	char state = '\0';
	uint64_t now;

	if (pid <= 0 || !start)
		return false;
	if (kill(pid, 0) < 0 && errno == ESRCH)
		return true;
	now = read_stat(pid, &state);
	return now && (now != start || state == 'Z' || state == 'X');
}
