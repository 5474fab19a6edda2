/* The VHD footer: images from the wild. */
#include <config.h>

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "footer_image.h"

static const char *folder; /* of the samples */

/* Images that others wrote: "" is good, else a part of the message. */
static void samples(void **state)
{
	static const struct {
		const char *name, *says;
		uint64_t size;
	} cases[] = {
		{ "win10-mbr-fat12-10m", "", 10485760 }, /* its geometry says 10,479,616 */
		{ "cv-superfloppy-ext2-4m-forcesize", "", 0 },
		{ "cv-win7-gpt-msr-ntfs-200m-forcesize", "", 0 },
		{ "derived-footer511", "", 10485760 },
		{ "derived-footer-badchecksum", "checksum", 0 },
		{ "qemu-differencing", "differencing", 0 },
		{ "win10-differencing-fat", "differencing", 0 },
		{ "qemu-dynamic-ext2", "dynamic", 0 },
	};
	struct vhd_footer out;
	struct err err;
	char path[128];
	size_t i;

	snprintf(path, sizeof(path), "%s/sample.vhd", (char *)*state);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		int rc;

		assert_int_equal(run("xz -dc '%s/vhd/%s.vhd.xz' >%s", folder, cases[i].name, path), 0);
		rc = check_path(path, &out, &err);
		if (rc < 0 && !*cases[i].says)
			fail_msg("%s: %s", cases[i].name, err.msg);
		if (*cases[i].says && (rc == 0 || !strstr(err.msg, cases[i].says)))
			fail_msg("%s: accepted, or refused with: %s", cases[i].name, rc ? err.msg : "");
		if (cases[i].size)
			assert_true(out.disk_size == cases[i].size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(samples, setup, teardown),
	};

	folder = getenv("HPCPACK_SAMPLES");
	if (!folder)
		folder = TEST_SRCDIR "/../shared/samples";
	if (access(folder, R_OK) < 0 || run("command -v xz >/dev/null")) {
		printf("1..0 # SKIP no samples in %s, or no xz\n", folder);
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
