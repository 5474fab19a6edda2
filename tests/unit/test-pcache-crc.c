/*
 * The CRCs of the persistent cache: what earlier versions wrote stays readable.
 * The values are zlib's.
 */
#include <config.h>

#include "tests/unit/unit.h"

#include "vhd/pcache_priv.h"

static void test_known_values(void **state)
{
	assert_int_equal(pcache_crc32(0, "", 0), 0);
	assert_int_equal(pcache_crc32(0, "a", 1), 0xe8b7be43);
	assert_int_equal(pcache_crc32(0, "123456789", 9), 0xcbf43926);
}

static void test_continued(void **state)
{
	assert_int_equal(pcache_crc32(pcache_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
}

/* By its definition (ISO 3309), a bit at a time. */
static uint32_t bit_by_bit(const uint8_t *data, size_t len)
{
	uint32_t crc = 0xffffffff;
	size_t i;
	int bit;

	for (i = 0; i < len; i++)
		for (crc ^= data[i], bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	return ~crc;
}

static void some_bytes(uint8_t *out, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		out[i] = (uint8_t)(i * 7);
}

/* Wide instructions have other ways for the odd bytes at both ends. */
static void test_any_length(void **state)
{
	uint8_t data[700];
	size_t at, len;

	some_bytes(data, sizeof(data));
	for (at = 0; at < 16; at++)
		for (len = 0; len + at <= sizeof(data); len++)
			assert_int_equal(pcache_crc32(0, data + at, len), bit_by_bit(data + at, len));
}

static void test_granule(void **state)
{
	struct extent e = { .nonce = 0x0123456789abcdef };
	uint8_t data[4096];

	some_bytes(data, sizeof(data));
	assert_int_equal(pcache_crc(&e, 7, data, sizeof(data)), 0x808f0872);
	assert_int_equal(pcache_crc(&e, 255, data, 1536), 0x68eef9a9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_values),
		cmocka_unit_test(test_continued),
		cmocka_unit_test(test_any_length),
		cmocka_unit_test(test_granule),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
