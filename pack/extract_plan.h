/*
 * extract_plan.h - what is fetched in which portions: a pure function of the index.
 *
 * A job is one stretch of the package with the members that lie in it. Small
 * neighbours share a job, so that one request brings many; a large member is a job
 * of its own, of several requests one after the other. Each job is done by one
 * thread, from its start to its end.
 */
#ifndef HPCPACK_PACK_EXTRACT_PLAN_H
#define HPCPACK_PACK_EXTRACT_PLAN_H

#include "pack/index.h"

struct extract_job {
	uint64_t offset, end;     /* bytes of the package */
	uint32_t first, count;    /* of the plan's members */
};

struct extract_plan {
	uint32_t *members;        /* entry numbers of files and symlinks, by offset */
	uint64_t *ends;           /* where each one's bytes are over at the latest */
	uint32_t member_count;
	struct extract_job *jobs; /* the large ones first, the largest in front */
	uint32_t job_count;
	bool *wanted;             /* of each entry: it is to be made */
	uint64_t bytes;           /* of all that is wanted, unpacked */
	uint64_t to_fetch;        /* sum of the jobs' */
};

/* `portion`: bytes of a job of small members, at most; what is larger is a job of its
 * own. `own_items`: OPC's own, too. */
int extract_plan_make(struct extract_plan *out, const struct pack_index *index, size_t portion,
		      bool own_items, struct err *err);
void extract_plan_free(struct extract_plan *plan);

#endif
