/*
 * download_part.h - PATH.part, and what of it is there.
 *
 * PATH.part.state is a header (which blob, which version) and behind it a journal: a
 * record for each range, written once the range is, and marks: "the first N records
 * are on the disk". After the end of a process all records hold; after the end of the
 * machine (another boot id in the header) those in front of the last mark do. It is
 * locked for as long as a download has it. It is there whenever PATH.part is ours.
 */
#ifndef HPCPACK_BLOB_DOWNLOAD_PART_H
#define HPCPACK_BLOB_DOWNLOAD_PART_H

#include <pthread.h>
#include <time.h>

#include "blob/client.h"
#include "blob/extents.h"
#include "blob/md5.h"

/* What a part must be of to be gone on with. */
struct part_of {
	char identity[MD5_TEXT_MAX];  /* of endpoint, container and blob */
	char etag[BLOB_ETAG_MAX];
	uint64_t size;                /* bytes */
};

struct part {
	const char *path;             /* borrowed: the file that it becomes */
	char *part_path, *state_path;
	uint64_t size;
	int fd, state_fd;
	bool anew;                    /* it was of another blob */
	struct extents had;           /* what was there when it was opened */
	pthread_mutex_t lock;         /* guards the rest */
	uint64_t records;             /* in the journal */
	uint64_t unsynced;            /* bytes noted since the last mark */
	bool syncing;
};

/* Open and lock it, or make it. 0, or -1 with nothing to close (errors: download.h). */
int part_open(struct part *p, const char *path, const struct part_of *of, struct err *err);

/* Write a range and note it. From any thread. */
int part_write(struct part *p, const void *data, size_t len, uint64_t offset, struct err *err);

/* All is there: onto the disk, with this modification time, and in its place. */
int part_finish(struct part *p, time_t modified, struct err *err);

/* It is of no use. */
void part_discard(struct part *p);

void part_close(struct part *p);

#endif
