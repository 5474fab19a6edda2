/* Whose snapshot is left behind, and whose is not. */
#include <config.h>

#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/snapshot_tag.h"

static const struct lease_holder who = { .host = "elsewhere", .user = "j; =%doe", .since = "-" };

/* As the service writes it, so many seconds from now. */
static const char *in(int seconds)
{
	static char out[40];
	time_t t = time(NULL) + seconds;
	struct tm tm;

	strftime(out, sizeof(out), "%Y-%m-%dT%H:%M:%S.1234567Z", gmtime_r(&t, &tm));
	return out;
}

/* The tag of a process that is dead by now. */
static void tag_of_the_dead(char *out, size_t size)
{
	int pipe_fd[2];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipe_fd), 0);
	pid = fork();
	if (pid == 0) {
		char *tag = snapshot_tag_make(&who);

		_exit(tag && write(pipe_fd[1], tag, strlen(tag)) > 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	n = read(pipe_fd[0], out, size - 1);
	assert_true(n > 0);
	out[n] = '\0';
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

/* `tag` with the value of one field replaced; NULL: without the field. */
static const char *altered(const char *tag, const char *name, const char *value)
{
	static char out[4096];
	char *copy = strdup(tag), *save = NULL;
	size_t len = strlen(name);

	out[0] = '\0';
	for (char *f = strtok_r(copy, ";", &save); f; f = strtok_r(NULL, ";", &save)) {
		bool ours = !strncmp(f, name, len) && f[len] == '=';

		if (ours && !value)
			continue;
		snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s%s%s%s", *out ? ";" : "",
			 ours ? name : f, ours ? "=" : "", ours ? value : "");
	}
	free(copy);
	return out;
}

static void the_living_keep_theirs(void **state)
{
	char *tag = snapshot_tag_make(&who), *again = snapshot_tag_make(&who), start[32];
	struct lease_holder read;

	assert_non_null(tag);
	assert_non_null(again);
	assert_string_not_equal(tag, again);
	assert_false(snapshot_tag_abandoned(tag, in(0)));
	assert_int_equal(lease_holder_parse(tag, &read), 0);
	assert_int_equal(read.pid, getpid());
	assert_string_equal(read.user, who.user);
	for (const char *p = tag; *p; p++)
		assert_true(*p > 0x20 && *p < 0x7f);
	/* Another process had this pid before. */
	snprintf(start, sizeof(start), "%d", 1);
	assert_true(snapshot_tag_abandoned(altered(tag, "start", start), in(0)));
	free(tag);
	free(again);
}

static void a_zombie_is_dead(void **state)
{
	char tag[4096] = "";
	int pipe_fd[2];
	siginfo_t info;
	pid_t pid;

	assert_int_equal(pipe(pipe_fd), 0);
	pid = fork();
	if (pid == 0) {
		char *own = snapshot_tag_make(&who);

		if (write(pipe_fd[1], own, strlen(own)) > 0)
			pause();
		_exit(1);
	}
	assert_true(read(pipe_fd[0], tag, sizeof(tag) - 1) > 0);
	assert_false(snapshot_tag_abandoned(tag, in(0)));
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(snapshot_tag_abandoned(tag, in(0)));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void the_dead_leave_theirs(void **state)
{
	char tag[4096];

	tag_of_the_dead(tag, sizeof(tag));
	assert_true(snapshot_tag_abandoned(tag, in(0)));
	assert_true(snapshot_tag_abandoned(tag, in(20)));
	assert_true(snapshot_tag_abandoned(tag, in(-20)));
}

/* Whatever is in doubt is not ours to delete. */
static void others_are_left_alone(void **state)
{
	static const char *const garbage[] = { "", ";", "=", "0123-4567", "host=x;id=y;pid=1",
					       "host=%zz;pid=4;id=1" };
	static const char *const needed[] = { "host", "pid", "since", "id", "start", "boot", "pidns" };
	char tag[4096];

	tag_of_the_dead(tag, sizeof(tag));
	assert_false(snapshot_tag_abandoned(altered(tag, "host", "another"), in(0)));
	assert_false(snapshot_tag_abandoned(altered(tag, "boot", "6700635c-115e-4696-8176-e2a2c5b687ae"),
					    in(0)));
	assert_false(snapshot_tag_abandoned(altered(tag, "pidns", "1"), in(0)));
	assert_false(snapshot_tag_abandoned(altered(tag, "start", "x"), in(0)));
	assert_false(snapshot_tag_abandoned(altered(tag, "pid", "-1"), in(0)));
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		assert_false(snapshot_tag_abandoned(altered(tag, needed[i], ""), in(0)));
		assert_false(snapshot_tag_abandoned(altered(tag, needed[i], NULL), in(0)));
	}
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++)
		assert_false(snapshot_tag_abandoned(garbage[i], in(0)));
	/* A copy of it, on a snapshot of another time. */
	assert_false(snapshot_tag_abandoned(tag, in(90)));
	assert_false(snapshot_tag_abandoned(tag, in(-90)));
	assert_false(snapshot_tag_abandoned(tag, ""));
	assert_false(snapshot_tag_abandoned(tag, "yesterday"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_living_keep_theirs),
		cmocka_unit_test(a_zombie_is_dead),
		cmocka_unit_test(the_dead_leave_theirs),
		cmocka_unit_test(others_are_left_alone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
