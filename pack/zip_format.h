/*
 * zip_format.h - the records of a zip (APPNOTE 6.3.10), as far as we read them.
 * Numbers are little-endian and not aligned.
 */
#ifndef HPCPACK_PACK_ZIP_FORMAT_H
#define HPCPACK_PACK_ZIP_FORMAT_H

#include <stdint.h>

#define ZIP_LOCAL_SIG 0x04034b50u    /* 4.3.7 local file header */
#define ZIP_CENTRAL_SIG 0x02014b50u  /* 4.3.12 central directory header */
#define ZIP_END_SIG 0x06054b50u      /* 4.3.16 end of central directory */
#define ZIP_END64_SIG 0x06064b50u    /* 4.3.14 zip64 end of central directory */
#define ZIP_LOCATOR_SIG 0x07064b50u  /* 4.3.15 zip64 end locator */

/* Without what varies: names, extra fields, comments. */
#define ZIP_LOCAL_SIZE 30u
#define ZIP_CENTRAL_SIZE 46u
#define ZIP_END_SIZE 22u
#define ZIP_END64_SIZE 56u
#define ZIP_LOCATOR_SIZE 20u

#define ZIP_FLAG_ENCRYPTED 0x0001u
#define ZIP_FLAG_DESCRIPTOR 0x0008u
#define ZIP_FLAG_STRONG 0x0040u
#define ZIP_FLAG_UTF8 0x0800u
#define ZIP_FLAG_MASKED 0x2000u

#define ZIP_STORED 0u
#define ZIP_DEFLATED 8u
#define ZIP_AES 99u

static inline uint16_t zip_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t zip_u32(const uint8_t *p)
{
	return zip_u16(p) | (uint32_t)zip_u16(p + 2) << 16;
}

static inline uint64_t zip_u64(const uint8_t *p)
{
	return zip_u32(p) | (uint64_t)zip_u32(p + 4) << 32;
}

#endif
