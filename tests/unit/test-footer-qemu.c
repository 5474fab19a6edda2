/* The VHD footer and qemu: what either makes of the other's images. */
#include <config.h>

#include "unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "footer_image.h"

/* Cut anywhere, a dynamic image still says what it is. */
static void qemu_dynamic(void **state)
{
	struct vhd_footer out;
	struct err err;
	char path[128];

	snprintf(path, sizeof(path), "%s/dynamic.vhd", (char *)*state);
	assert_int_equal(run("qemu-img create -q -f vpc -o subformat=dynamic %s 16M", path), 0);
	assert_int_equal(check_path(path, &out, &err), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_int_equal(truncate(path, 1200), 0);
	assert_int_equal(check_path(path, &out, &err), -1);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_non_null(strstr(err.msg, "dynamic"));
}

static void qemu_fixed(void **state)
{
	static const char *const options[] = { "subformat=fixed", "subformat=fixed,force_size=on" };
	static const uint64_t sizes[] = { 16781312, 16 * MIB };
	struct vhd_footer out;
	struct err err;
	char path[128];
	size_t i;

	snprintf(path, sizeof(path), "%s/fixed.vhd", (char *)*state);
	for (i = 0; i < ARRAY_LEN(options); i++) {
		assert_int_equal(run("qemu-img create -q -f vpc -o %s %s 16M", options[i], path), 0);
		if (check_path(path, &out, &err) < 0)
			fail_msg("%s", err.msg);
		assert_true(out.disk_size == sizes[i]);
	}
}

static void qemu_reads_ours(void **state)
{
	static const uint64_t sizes[] = { MIB, 100 * MIB, 1024 * 1024 * MIB };
	char path[128];
	size_t i;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		close(make_image(*state, sizes[i], 512, path, sizeof(path)));
		assert_int_equal(run("qemu-img info -f vpc --output=json %s | "
				     "grep -q '\"virtual-size\": %" PRIu64 ",'", path, sizes[i]), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(qemu_dynamic, setup, teardown),
		cmocka_unit_test_setup_teardown(qemu_fixed, setup, teardown),
		cmocka_unit_test_setup_teardown(qemu_reads_ours, setup, teardown),
	};

	if (run("command -v qemu-img >/dev/null")) {
		printf("1..0 # SKIP no qemu-img\n");
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
