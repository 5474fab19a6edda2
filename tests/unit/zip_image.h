/*
 * zip_image.h - zips for tests, right or wrong on purpose, written from APPNOTE
 * 6.3.10 and not from our reader.
 */
#ifndef HPCPACK_TESTS_ZIP_IMAGE_H
#define HPCPACK_TESTS_ZIP_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A number that the archive claims instead of the true one. */
struct zip_lie {
	bool lies;
	uint64_t claims;
};
#define LIE(number) { true, (number) }

struct zip_spec {
	const char *name;
	size_t name_len;              /* 0: of the text */
	const void *data;
	size_t len;                   /* 0: of the text */
	uint16_t method, flags;       /* bit 3: sizes behind the data, zeros in front */
	uint8_t host;                 /* 3: Unix */
	uint32_t attributes;          /* mode << 16 */
	const void *extra, *local_extra;
	size_t extra_len, local_extra_len;
	uint16_t dos_date, dos_time;
	bool zip64;                   /* its numbers in an extra field */
	struct zip_lie size, packed, crc, offset; /* of the directory */
	struct zip_lie local_size, local_crc, local_method;
};

struct zip_image {
	uint8_t *data;                /* malloc'd */
	size_t len, size;
	uint8_t *directory;
	size_t directory_len, directory_size;
	size_t base;                  /* where the archive begins */
	unsigned count;
};

void zip_raw(struct zip_image *z, const void *data, size_t len);
/* What comes after this does not count the bytes so far in its offsets. */
void zip_begin(struct zip_image *z);
void zip_add(struct zip_image *z, const struct zip_spec *spec);
/* Stored, nothing special. */
void zip_file(struct zip_image *z, const char *name, const char *text);

struct zip_ending {
	size_t gap;                   /* bytes between directory and end record */
	bool zip64;                   /* a zip64 record, and nothing in the other one */
	const char *comment;
	struct zip_lie count, directory_size, directory_offset, disk;
};
/* Directory and end record; `ending` may be NULL. */
void zip_end(struct zip_image *z, const struct zip_ending *ending);
void zip_free(struct zip_image *z);

#endif
