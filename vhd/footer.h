/*
 * footer.h - the footer of a fixed VHD: the last 512 bytes, big-endian.
 *
 * Format: Microsoft "Virtual Hard Disk Image Format Specification" (MS-VHD),
 * facts and traps in BLOB-REST.md section 7. The payload is everything before
 * the footer; disk offset X is blob offset X. CHS geometry never decides a size.
 */
#ifndef HPCPACK_VHD_FOOTER_H
#define HPCPACK_VHD_FOOTER_H

#include <stdbool.h>
#include <stdint.h>

#include "blob/base/err.h"

#define VHD_FOOTER_SIZE 512u

struct vhd_footer {
	uint64_t disk_size;      /* current size, bytes */
	uint64_t original_size;  /* bytes */
	uint32_t created;        /* seconds since 2000-01-01 00:00 UTC */
	char creator[5];         /* "win ", "qem2", "vpc "... */
	uint8_t uuid[16];
};

/*
 * Check `footer` (VHD_FOOTER_SIZE bytes) as the end of an image of `image_size`
 * bytes, footer included. `what` names the image in messages. Each fault has its
 * own message (ERR_FORMAT, or ERR_UNSUPPORTED for dynamic and differencing,
 * which name the qemu-img command that converts them): no cookie; bad checksum;
 * version; disk type; data offset; saved state; size not a multiple of 512; size
 * beyond the image; size unlike the image's. In the end libvhdi opens it too
 * (from a sparse memfd with the footer at its end) and must agree on the type
 * and on what it takes for the media size: the original size.
 */
int vhd_footer_check(const void *footer, uint64_t image_size, const char *what,
		     struct vhd_footer *out, struct err *err);

/* Do these VHD_FOOTER_SIZE bytes begin with "conectix"? */
bool vhd_footer_has_cookie(const void *footer);

/* Write a footer for a fixed disk of `disk_size` bytes (multiple of 512): creator
 * "win ", original size = current size, CHS by the specification's algorithm. */
void vhd_footer_build(void *footer, uint64_t disk_size, const uint8_t uuid[16], uint32_t created);

/*
 * The footer of a local file, and how it must travel: *image_size is the size of
 * the blob that it becomes. A 511-byte footer (Virtual PC before 2004) is
 * completed by its missing zero byte. Errors as in vhd_footer_check(). `footer` is
 * filled in also on failure: callers that accept other files go on when it has no
 * cookie and the error is ERR_FORMAT (a VHD that is damaged must not pass for
 * something else).
 */
int vhd_footer_of_file(int fd, const char *path, struct vhd_footer *out,
		       uint8_t footer[VHD_FOOTER_SIZE], uint64_t *image_size, struct err *err);

#endif
