/* The input is the size of an image (8 bytes) and its footer: as it stands, and with
 * a checksum that is right, which no mutation finds. */
#include <config.h>

#include "fuzz.h"

#include <string.h>

#include "vhd/footer.h"

#define CHECKSUM 64

static void put_checksum(uint8_t footer[VHD_FOOTER_SIZE])
{
	uint32_t sum = 0;

	memset(footer + CHECKSUM, 0, 4);
	for (size_t i = 0; i < VHD_FOOTER_SIZE; i++)
		sum += footer[i];
	sum = ~sum;
	for (size_t i = 0; i < 4; i++)
		footer[CHECKSUM + i] = (uint8_t)(sum >> (24 - 8 * i));
}

static void check(const uint8_t *footer, uint64_t size)
{
	struct vhd_footer out;
	struct err err;

	if (vhd_footer_check(footer, size, "x", &out, &err) < 0) {
		must(err.code == ERR_FORMAT || err.code == ERR_UNSUPPORTED);
		must(!strncmp(err.msg, "x: ", 3) && !strchr(err.msg, '\n'));
		return;
	}
	must(vhd_footer_has_cookie(footer));
	must(out.disk_size % 512 == 0 && out.disk_size == size - VHD_FOOTER_SIZE);
	must(strlen(out.creator) <= 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t footer[VHD_FOOTER_SIZE] = { 0 };
	uint64_t size = 0;

	if (len < sizeof(size))
		return 0;
	for (size_t i = 0; i < sizeof(size); i++)
		size = size << 8 | data[i];
	len -= sizeof(size);
	memcpy(footer, data + sizeof(size), len < sizeof(footer) ? len : sizeof(footer));
	check(footer, size);
	put_checksum(footer);
	check(footer, size);
	return 0;
}
