#include <config.h>

#include "tests/unit/create_rig.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pack/index.h"
#include "tests/unit/scratch.h"

char said[SAID_MAX];

static void note(void *arg, const char *text)
{
	size_t len = strlen(said);

	snprintf(said + len, sizeof(said) - len, "%s\n", text);
}

int enter(void **state)
{
	static int number;
	char name[32];

	snprintf(name, sizeof(name), "test-%d", number++);
	said[0] = '\0';
	return mkdir(scratch_path(name), 0755) || chdir(scratch_path(name));
}

int leave(void **state)
{
	return chdir("/");
}

void put(const char *path, const char *text)
{
	FILE *f;
	char *folder = strdup(path);

	for (char *p = folder; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		assert_true(!mkdir(folder, 0755) || errno == EEXIST);
	}
	free(folder);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

void date(const char *path, time_t when)
{
	const struct timespec times[2] = { { .tv_sec = when, .tv_nsec = 700000000 }, { .tv_sec = when, .tv_nsec = 700000000 } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

#define SOURCES_MAX 8

int make_with(const struct pack_create_options *o, struct err *err, const char *package, ...)
{
	const char *sources[SOURCES_MAX];
	struct pack_create_stats stats;
	size_t count = 0;
	va_list ap;

	va_start(ap, package);
	while (count < SOURCES_MAX && (sources[count] = va_arg(ap, const char *)))
		count++;
	va_end(ap);
	return pack_create(package, sources, count, o, &stats, err);
}

const struct pack_create_options plain = { .warn = note };

const char *listing(const char *package)
{
	static char text[4096];
	struct pack_index index;
	struct pack_file file;
	struct err err;
	int fd = open(package, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	assert_true(fd >= 0);
	assert_int_equal(pack_file_init(&file, package, fd, &err), 0);
	if (pack_index_open(&index, &file.reader, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(pack_index_check(&index, package, 0, 0, &err), 0);
	assert_true(index.opc);
	text[0] = '\0';
	for (uint32_t i = 1; i < index.count; i++) {
		const struct pack_entry *e = &index.entries[i];
		static const char marks[] = { [PACK_FILE] = ' ', [PACK_DIR] = '/', [PACK_LINK] = '@' };

		if (!e->own && !e->implied && strncmp(e->path, "package", 7) && strcmp(e->path, "_rels"))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%c", len ? " " : "", e->path,
						marks[e->type]);
	}
	pack_index_free(&index);
	close(fd);
	return text;
}

void same_file(const char *a, const char *b)
{
	char command[256];

	snprintf(command, sizeof(command), "cmp '%s' '%s'", a, b);
	assert_int_equal(system(command), 0);
}
