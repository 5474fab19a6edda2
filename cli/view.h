/*
 * view.h - what view finds out about one blob beyond its properties.
 */
#ifndef HPCPACK_CLI_VIEW_H
#define HPCPACK_CLI_VIEW_H

#include "blob/client.h"
#include "pack/index.h"
#include "vhd/footer.h"

enum content { CONTENT_FILE, CONTENT_DRIVE, CONTENT_OPC, CONTENT_ZIP };
const char *content_name(enum content c); /* "file", "drive", "package", "zip" */

struct contents {
	enum content content;
	struct vhd_footer footer;   /* CONTENT_DRIVE */
	uint32_t files;             /* CONTENT_OPC, CONTENT_ZIP */
	uint64_t unpacked;          /* bytes */
	char problem[1024];         /* why it can't be used as what it seems to be; or "" */
};

/* By a few ranges: the footer of a page blob, else the index of a package. -1 only
 * when storage can't be read. */
int contents_read(struct contents *out, struct blob_client *client, const struct blob_ref *ref,
		  const struct blob_props *props, struct err *err);

#endif
