/* pack/create.h: files that change meanwhile; the package is there as a whole, or not. */
#include <config.h>

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/create_rig.h"
#include "tests/unit/scratch.h"

/* --- files that change --- */

static struct create_list list_of(const char *source)
{
	struct create_list list = { .options = &plain };

	assert_int_equal(create_sources(&list, &source, 1, NULL), 0);
	assert_int_equal(list.count, 1);
	return list;
}

static void grow_file(void)
{
	FILE *f = fopen("app/f", "a");

	assert_true(f && fputs("more", f) >= 0 && fclose(f) == 0);
}

static void shrink_file(void)
{
	assert_int_equal(truncate("app/f", 1), 0);
}

static void touch_file(void)
{
	date("app/f", 1234567890);
}

static void remove_file(void)
{
	assert_int_equal(unlink("app/f"), 0);
}

static void replace_file(void)
{
	put("app/g", "content");
	assert_int_equal(rename("app/g", "app/f"), 0);
}

static void make_it_a_fifo(void)
{
	assert_true(!unlink("app/f") && !mkfifo("app/f", 0600));
}

static void make_it_a_link(void)
{
	assert_true(!rename("app/f", "real") && !symlink("../real", "app/f"));
}

static void remove_folder(void)
{
	assert_true(!unlink("app/f") && !rmdir("app"));
}

static const struct change {
	void (*happen)(void);
	const char *message;
	bool late;               /* can be seen when the file is open already */
} changes[] = {
	{ grow_file, "app/f: grew while", true },
	{ shrink_file, "app/f: shrank while", true },
	{ touch_file, "app/f: was changed while", true },
	{ remove_file, "app/f: vanished while", false },
	{ replace_file, "app/f: was replaced while", false },
	{ make_it_a_fifo, "app/f: was replaced while", false },
	{ make_it_a_link, "app/f: was replaced while", false },
	{ remove_folder, "app/f: vanished while", false },
};

static void changed_files(void **state)
{
	for (size_t i = 0; i < 2 * sizeof(changes) / sizeof(*changes); i++) {
		const struct change *change = &changes[i / 2];
		struct err err = { .code = ERR_NONE };
		struct create_input in;
		struct create_list list;
		char data[4];
		ssize_t n = 0;

		put("app/f", "content");
		list = list_of("app");
		if (i % 2 == 0) {
			change->happen();
			assert_int_equal(create_input_open(&in, &list.items[0], &err), -1);
		} else if (change->late) {
			assert_int_equal(create_input_open(&in, &list.items[0], &err), 0);
			assert_int_equal(create_input_read(&in, data, 4, &err), 4);
			change->happen();
			while ((n = create_input_read(&in, data, 4, &err)) > 0)
				;
			assert_int_equal(n, -1);
			create_input_close(&in);
		}
		if (i % 2 == 0 || change->late) {
			assert_int_equal(err.code, ERR_CONDITION);
			if (strncmp(err.msg, change->message, strlen(change->message)))
				fail_msg("%s", err.msg);
		}
		create_list_free(&list);
		unlink("app/f");
	}
}

/* --- the place --- */

static int entries_here(void)
{
	return system("test \"$(ls -A | wc -l)\" = 2");
}

static void set_cancel(void *arg, uint64_t done, uint64_t total)
{
	atomic_store((atomic_bool *)arg, true);
}

static void all_or_nothing(void **state)
{
	atomic_bool cancel = false;
	const struct pack_create_options o = { .cancel = &cancel, .progress = set_cancel, .arg = &cancel };
	struct stat st;
	struct err err;

	put("app/a", "a");
	put("p", "the old one");
	assert_int_equal(chmod("p", 0600), 0);
	assert_int_equal(make_with(&o, &err, "p", "app", NULL), -1);
	assert_int_equal(err.code, ERR_CANCELLED);
	assert_int_equal(stat("p", &st), 0);
	assert_int_equal(st.st_size, 11);
	assert_int_equal(entries_here(), 0);
	assert_int_equal(make("p", "app"), 0);
	assert_string_equal(listing("p"), "a ");
	assert_int_equal(stat("p", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(entries_here(), 0);

	assert_int_equal(make("app", "p"), -1);
	assert_non_null(strstr(err.msg, "app: is a folder"));
	assert_int_equal(make("nowhere/p", "app"), -1);
	assert_non_null(strstr(err.msg, "nowhere/p: its folder"));
	assert_int_equal(make("/dev/null", "app"), -1);
	assert_non_null(strstr(err.msg, "/dev/null: is no regular file"));
	assert_int_equal(entries_here(), 0);
}

static void into_itself(void **state)
{
	struct stat st;
	struct err err;

	put("app/a", "a");
	assert_int_equal(make("app/p.zip", "app"), 0);
	assert_string_equal(listing("app/p.zip"), "a ");
	assert_int_equal(make("app/p.zip", "app"), 0);
	assert_string_equal(listing("app/p.zip"), "a ");
	assert_int_equal(make("app/p.zip", "app/a", "app/p.zip"), 0);
	assert_string_equal(listing("app/p.zip"), "a ");
	/* A link to it stays one, and leads to the new package. */
	assert_int_equal(symlink("app/p.zip", "link"), 0);
	put("app/b", "b");
	assert_int_equal(make("link", "app"), 0);
	assert_string_equal(listing("app/p.zip"), "a  b ");
	assert_true(lstat("link", &st) == 0 && S_ISLNK(st.st_mode));
}

/* As on a file system without O_TMPFILE. */
static int forbid_nameless_files(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { .len = sizeof(filter) / sizeof(*filter), .filter = filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void with_a_name(void **state)
{
	atomic_bool cancel = false;
	const struct pack_create_options o = { .cancel = &cancel, .progress = set_cancel, .arg = &cancel };
	struct err err;
	int status;
	pid_t pid;

	put("app/a", "a");
	put("p", "the old one");
	pid = fork();
	if (pid == 0) {
		if (forbid_nameless_files())
			_exit(1);
		if (open(".", O_TMPFILE | O_RDWR, 0600) >= 0 || errno != EOPNOTSUPP)
			_exit(2);
		if (make_with(&o, &err, "p", "app", NULL) == 0 || err.code != ERR_CANCELLED)
			_exit(3);
		if (entries_here())
			_exit(4);
		_exit(make("p", "app") ? 5 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_string_equal(listing("p"), "a ");
	assert_int_equal(entries_here(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(changed_files),
		TEST(all_or_nothing),
		TEST(into_itself),
		TEST(with_a_name),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
