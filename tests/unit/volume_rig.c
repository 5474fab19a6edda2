#include <config.h>

#include "tests/unit/volume_rig.h"

#include "tests/unit/unit.h"

#include <unistd.h>

#include "tests/unit/sandbox.h"

struct volume_wish wish(const char *image)
{
	struct volume_wish w = {
		.disk_path = image,
		.what = "drive.vhd",
		.mountpoint = sandbox_path("mnt"),
		.kernel_allowed = true,
		.driver_path = sandbox_program("hpcpack-fusedriver"),
		.log_path = sandbox_path("driver.log"),
	};

	sandbox_run("mkdir -p mnt");
	return w;
}

void attach(const struct volume_wish *w, struct volume *v)
{
	struct err err;

	if (volume_attach(w, v, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(volume_mounted(v));
}

void detach(const struct volume *v)
{
	struct err err, unsynced;

	if (volume_detach(v, false, &unsynced, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(unsynced.code, ERR_NONE);
	assert_true(volume_wait_released(v, 10000));
	assert_false(volume_mounted(v));
	assert_int_equal(sandbox_loops(), 0);
	assert_int_equal(sandbox_mounts(), 0);
}

pid_t sit_in(const char *dir)
{
	int pipe_fd[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(pipe_fd), 0);
	pid = fork();
	if (pid == 0) {
		if (chdir(dir) == 0 && write(pipe_fd[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	sandbox_note_pid(pid);
	assert_int_equal(read(pipe_fd[0], &byte, 1), 1);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	return pid;
}
