/* The VHD footer: what we write, what we refuse, what others wrote. */
#include <config.h>

#include "unit.h"

#include <inttypes.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "footer_image.h"

/* The checksum as the specification words it, apart from the code under test. */
static void fix_checksum(uint8_t *f)
{
	uint32_t sum = 0;
	int i;

	memset(f + 64, 0, 4);
	for (i = 0; i < 512; i++)
		sum += f[i];
	sum = ~sum;
	for (i = 0; i < 4; i++)
		f[64 + i] = (uint8_t)(sum >> (24 - 8 * i));
}

static void round_trip(void **state)
{
	static const uint64_t sizes[] = { 512, 4096, MIB, 16 * MIB, 200 * MIB + 512, 1024 * 1024 * MIB,
					  2040 * 1024 * MIB };
	size_t i;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		uint8_t f[VHD_FOOTER_SIZE];
		struct vhd_footer out;
		struct err err;

		vhd_footer_build(f, sizes[i], uuid, 0x01020304);
		if (vhd_footer_check(f, sizes[i] + 512, "x", &out, &err) < 0)
			fail_msg("%" PRIu64 ": %s", sizes[i], err.msg);
		assert_true(out.disk_size == sizes[i]);
		assert_true(out.original_size == sizes[i]);
		assert_int_equal(out.created, 0x01020304);
		assert_string_equal(out.creator, "win ");
		assert_memory_equal(out.uuid, uuid, 16);
	}
}

/* Byte for byte, from the table in the specification. */
static void layout(void **state)
{
	static const uint8_t head[] = {
		'c', 'o', 'n', 'e', 'c', 't', 'i', 'x', 0, 0, 0, 2, 0, 1, 0, 0,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x02, 0x03, 0x04, 'w', 'i', 'n', ' ',
		0, 0x0a, 0, 0, 'W', 'i', '2', 'k', 0, 0, 0, 0, 1, 0, 0, 0,
		0, 0, 0, 0, 1, 0, 0, 0, 0x01, 0xe1, 4, 17, 0, 0, 0, 2,
	};
	uint8_t f[VHD_FOOTER_SIZE], again[VHD_FOOTER_SIZE];
	int i;

	vhd_footer_build(f, 16 * MIB, uuid, 0x01020304);
	assert_memory_equal(f, head, sizeof(head));
	assert_memory_equal(f + 68, uuid, 16);
	for (i = 84; i < 512; i++)
		assert_int_equal(f[i], 0);
	memcpy(again, f, sizeof(f));
	fix_checksum(again);
	assert_memory_equal(f, again, sizeof(f));
}

static void geometry(void **state)
{
	static const struct {
		uint64_t size;
		unsigned c, h, s;
	} cases[] = {
		{ 16 * MIB, 481, 4, 17 },
		{ 100 * MIB, 1003, 12, 17 },
		{ 200 * MIB, 825, 16, 31 },
		{ 1024 * MIB, 2080, 16, 63 },
		{ 128 * 1024 * MIB, 65535, 16, 255 }, /* more than the geometry can say */
		{ 40 * 1024 * MIB, 20560, 16, 255 },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t f[VHD_FOOTER_SIZE];

		vhd_footer_build(f, cases[i].size, uuid, 0);
		assert_int_equal(f[56] << 8 | f[57], cases[i].c);
		assert_int_equal(f[58], cases[i].h);
		assert_int_equal(f[59], cases[i].s);
	}
}

/* Change some bytes of a good 16 MiB footer, look at what is said about it. */
static void expect_fault(unsigned offset, const void *bytes, size_t len, int keep_checksum,
			 uint64_t image_size, enum err_code code, const char *says)
{
	uint8_t f[VHD_FOOTER_SIZE];
	struct vhd_footer out;
	struct err err;

	vhd_footer_build(f, 16 * MIB, uuid, 1);
	memcpy(f + offset, bytes, len);
	if (!keep_checksum)
		fix_checksum(f);
	assert_int_equal(vhd_footer_check(f, image_size, "box/disk.vhd", &out, &err), -1);
	assert_int_equal(err.code, code);
	if (strncmp(err.msg, "box/disk.vhd: ", 14) || !strstr(err.msg, says))
		fail_msg("\"%s\" does not name the image or say \"%s\"", err.msg, says);
}

static void faults(void **state)
{
	const uint64_t whole = 16 * MIB + 512;
	const char *convert = "qemu-img convert -f vpc -O vpc -o subformat=fixed,force_size=on OLD NEW";

	expect_fault(0, "connectx", 8, 0, whole, ERR_FORMAT, "is not a VHD, or was cut short");
	expect_fault(60, "\0\0\0\3", 4, 0, whole, ERR_UNSUPPORTED, "dynamic");
	expect_fault(60, "\0\0\0\3", 4, 0, whole, ERR_UNSUPPORTED, convert);
	expect_fault(60, "\0\0\0\4", 4, 0, whole, ERR_UNSUPPORTED, "differencing");
	expect_fault(60, "\0\0\0\4", 4, 0, whole, ERR_UNSUPPORTED, convert);
	expect_fault(60, "\0\0\0\4", 4, 1, whole, ERR_UNSUPPORTED, "differencing");
	expect_fault(33, "\1", 1, 1, whole, ERR_FORMAT, "checksum");
	expect_fault(511, "\1", 1, 1, whole, ERR_FORMAT, "checksum");
	expect_fault(12, "\0\2\0\1", 4, 0, whole, ERR_FORMAT, "version 2.1");
	expect_fault(60, "\0\0\0\5", 4, 0, whole, ERR_FORMAT, "disk type 5");
	expect_fault(60, "\0\0\0\0", 4, 0, whole, ERR_FORMAT, "disk type 0");
	expect_fault(16, "\0\0\0\0\0\0\2\0", 8, 0, whole, ERR_FORMAT, "data offset 0000000000000200");
	expect_fault(84, "\1", 1, 0, whole, ERR_FORMAT, "saved state");
	expect_fault(48, "\0\0\0\0\0\xff\xff\xff", 8, 0, whole, ERR_FORMAT, "multiple of 512");
	expect_fault(48, "\0\0\0\0\0\0\0\0", 8, 0, whole, ERR_FORMAT, "multiple of 512");
	expect_fault(48, "\0\0\0\0\1\0\2\0", 8, 0, whole, ERR_FORMAT, "cut short");
	expect_fault(48, "\xff\xff\xff\xff\xff\xff\xfe\0", 8, 0, whole, ERR_FORMAT, "cut short");
	expect_fault(48, "\0\0\0\0\0\xff\xfe\0", 8, 0, whole, ERR_FORMAT, "stand before it");
	expect_fault(48, "\0\0\0\0\1\0\0\0", 8, 0, 511, ERR_FORMAT, "cut short");
	expect_fault(48, "\0\0\0\0\1\0\0\0", 8, 0, whole + 512, ERR_FORMAT, "stand before it");
}

/* A disk that was enlarged keeps its original size: the current one counts. */
static void enlarged(void **state)
{
	uint8_t f[VHD_FOOTER_SIZE];
	struct vhd_footer out;
	struct err err;

	vhd_footer_build(f, 16 * MIB, uuid, 1);
	memcpy(f + 40, "\0\0\0\0\0\x80\0\0", 8);
	fix_checksum(f);
	assert_int_equal(vhd_footer_check(f, 16 * MIB + 512, "x", &out, &err), 0);
	assert_true(out.disk_size == 16 * MIB);
	assert_true(out.original_size == 8 * MIB);
}

static void file_511(void **state)
{
	uint8_t footer[VHD_FOOTER_SIZE], whole[VHD_FOOTER_SIZE];
	struct vhd_footer out;
	struct err err;
	uint64_t image_size;
	char path[128];
	cleanup_close int fd = make_image(*state, 10 * MIB, 511, path, sizeof(path));

	assert_int_equal(vhd_footer_of_file(fd, path, &out, footer, &image_size, &err), 0);
	assert_true(out.disk_size == 10 * MIB);
	assert_true(image_size == 10 * MIB + 512);
	vhd_footer_build(whole, 10 * MIB, uuid, 1);
	assert_memory_equal(footer, whole, sizeof(whole));
}

static void file_no_vhd(void **state)
{
	static const off_t sizes[] = { 0, 1, 511, 512, 513, 70000 };
	uint8_t footer[VHD_FOOTER_SIZE];
	struct vhd_footer out;
	struct err err;
	uint64_t image_size;
	char path[128];
	cleanup_close int fd = open_image(*state, "text", path, sizeof(path));
	size_t i;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		assert_int_equal(ftruncate(fd, sizes[i]), 0);
		assert_int_equal(vhd_footer_of_file(fd, path, &out, footer, &image_size, &err), -1);
		assert_int_equal(err.code, ERR_FORMAT);
		assert_non_null(strstr(err.msg, "is not a VHD"));
		assert_false(vhd_footer_has_cookie(footer));
	}
}

static void file_damaged(void **state)
{
	uint8_t footer[VHD_FOOTER_SIZE];
	struct vhd_footer out;
	struct err err;
	uint64_t image_size;
	char path[128];
	cleanup_close int fd = make_image(*state, 10 * MIB, 512, path, sizeof(path));

	assert_int_equal(pwrite(fd, "x", 1, 10 * MIB + 300), 1);
	assert_int_equal(vhd_footer_of_file(fd, path, &out, footer, &image_size, &err), -1);
	assert_int_equal(err.code, ERR_FORMAT);
	assert_true(vhd_footer_has_cookie(footer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(layout),
		cmocka_unit_test(geometry),
		cmocka_unit_test(faults),
		cmocka_unit_test(enlarged),
		cmocka_unit_test_setup_teardown(file_511, setup, teardown),
		cmocka_unit_test_setup_teardown(file_no_vhd, setup, teardown),
		cmocka_unit_test_setup_teardown(file_damaged, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
