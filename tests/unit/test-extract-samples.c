/* Archives from the wild: each is extracted, or refused with nothing left, as the
 * index of the samples says. What is extracted has the right CRCs. */
#include <config.h>

#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pack/extract.h"
#include "scratch.h"

static const char *folder; /* of the samples */

/* 0, or -1 and nothing is left of it. */
static int extract(const char *path, struct err *err)
{
	const struct pack_limits limits = { .max_unpacked = 1 << 30 };
	int fd = open(path, O_RDONLY), dir, rc;
	struct pack_file file;
	struct pack_index index;

	assert_true(fd >= 0);
	assert_int_equal(scratch_setup(NULL), 0);
	dir = open(scratch_dir(), O_RDONLY | O_DIRECTORY);
	rc = pack_file_init(&file, path, fd, err);
	if (rc == 0)
		rc = pack_index_open(&index, &file.reader, &limits, err);
	if (rc == 0) {
		struct extract_stats stats;

		rc = pack_extract(&index, &file.reader, NULL, dir, NULL, &stats, err);
		if (rc == 0)
			assert_int_equal(stats.files, index.file_count);
		pack_index_free(&index);
	}
	if (rc < 0) {
		assert_true(err->code != ERR_NONE && *err->msg);
		assert_int_equal(rmdir(scratch_dir()), 0);
	} else {
		assert_int_equal(scratch_teardown(NULL), 0);
	}
	close(dir);
	close(fd);
	return rc;
}

static void all(void **state)
{
	static char line[65536];
	char path[4096], name[256], verdict[64];
	unsigned count = 0, wrong = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/INDEX.tsv", folder);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		struct err err;
		int rc;

		if (strncmp(line, "zip/", 4) != 0)
			continue;
		assert_int_equal(sscanf(line, "%255[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%63[^\t]",
					name, verdict), 2);
		snprintf(path, sizeof(path), "%s/%s", folder, name);
		rc = extract(path, &err);
		count++;
		if ((!strcmp(verdict, "accept") && rc < 0) ||
		    (!strcmp(verdict, "reject") && rc == 0)) {
			printf("# %s, %s: %s\n", name, verdict, rc < 0 ? err.msg : "extracted");
			wrong++;
		}
	}
	fclose(f);
	assert_true(count > 100);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(all) };

	folder = getenv("HPCPACK_SAMPLES");
	if (!folder)
		folder = TEST_SRCDIR "/../shared/samples";
	if (access(folder, R_OK) < 0) {
		printf("1..0 # SKIP no samples in %s\n", folder);
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
