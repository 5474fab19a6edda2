#include <config.h>

#include "pack/extract.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pack/extraction.h"

#define BLOCK_SIZE (4u << 20)
#define THREADS_MAX 64u

/* A job of small members is at least so large: a request has its price. */
#define PORTION_MIN (256u << 10)

/* So many jobs for each thread, so that all of them end at about the same time. */
#define JOBS_PER_THREAD 12

int extraction_fail(struct extraction *x, const struct err *err)
{
	pthread_mutex_lock(&x->lock);
	if (x->err.code == ERR_NONE)
		x->err = *err;
	pthread_mutex_unlock(&x->lock);
	atomic_store(&x->stop, true);
	return -1;
}

bool extraction_goes_on(struct extraction *x)
{
	struct err err;

	if (x->options->cancel && atomic_load(x->options->cancel)) {
		err_set(&err, ERR_CANCELLED, "%s: cancelled", x->reader->name);
		extraction_fail(x, &err);
	}
	return !atomic_load(&x->stop);
}

static void take_stats(struct extraction *x, struct extract_stats *out)
{
	*out = (struct extract_stats){
		.bytes = atomic_load(&x->bytes), .fetched = atomic_load(&x->fetched),
		.files = atomic_load(&x->files), .dirs = x->tree.dirs,
	};
}

void extraction_progress(struct extraction *x)
{
	struct extract_stats stats;
	struct timespec now;
	bool due;

	if (!x->options->progress)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&x->lock);
	due = !x->reporting && (now.tv_sec - x->reported.tv_sec) * 1000000000L + now.tv_nsec -
		x->reported.tv_nsec >= 100000000L;
	if (due) {
		x->reporting = true;
		x->reported = now;
	}
	pthread_mutex_unlock(&x->lock);
	if (!due)
		return;
	take_stats(x, &stats);
	x->options->progress(x->options->arg, &stats);
	pthread_mutex_lock(&x->lock);
	x->reporting = false;
	pthread_mutex_unlock(&x->lock);
}

/* Up to `threads` workers; one can do it all. */
static int run_workers(struct extraction *x, struct err *err)
{
	pthread_t threads[THREADS_MAX];
	unsigned started = 0;
	int rc = 0;

	while (started < x->threads && started < x->plan.job_count) {
		rc = pthread_create(&threads[started], NULL, extract_worker, x);
		if (rc)
			break;
		started++;
	}
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	if (x->err.code != ERR_NONE) {
		if (err)
			*err = x->err;
		return -1;
	}
	if (rc && !started)
		return err_set_errno(err, rc, "can't start a thread");
	return 0;
}

static int make_all(struct extraction *x, struct err *err)
{
	if (extract_check_space(&x->tree, &x->plan, err) < 0 ||
	    extract_make_dirs(&x->tree, x->plan.wanted, err) < 0 ||
	    run_workers(x, err) < 0 || extract_make_links(x, err) < 0)
		return -1;
	return extract_finish_dirs(&x->tree, err);
}

static unsigned choose_threads(const struct extract_options *o)
{
	unsigned threads = o->threads ? o->threads : pack_pool_threads();

	return threads < THREADS_MAX ? threads : THREADS_MAX;
}

/* Small packages in small portions, so that every thread gets some. */
static size_t choose_portion(const struct extraction *x)
{
	uint64_t portion = x->reader->size / x->threads / JOBS_PER_THREAD;

	if (portion < PORTION_MIN)
		portion = PORTION_MIN;
	return portion < x->piece ? (size_t)portion : x->piece;
}

static int run(struct extraction *x, struct err *err)
{
	int rc;

	if (extract_tree_init(&x->tree, x->index, x->reader->name, x->tree.root, err) < 0)
		return -1;
	rc = extract_plan_make(&x->plan, x->index, choose_portion(x), x->options->own_items, err);
	if (rc == 0)
		rc = make_all(x, err);
	if (rc < 0)
		extract_undo(&x->tree);
	while (x->links) {
		struct extract_link *link = x->links;

		x->links = link->next;
		free(link);
	}
	extract_plan_free(&x->plan);
	extract_tree_free(&x->tree);
	return rc;
}

int pack_extract(const struct pack_index *index, const struct pack_reader *reader,
		 const struct pack_blob *blob, int dirfd, const struct extract_options *options,
		 struct extract_stats *stats, struct err *err)
{
	static const struct extract_options none;
	struct extraction x = {
		.index = index, .reader = reader, .blob = blob, .tree.root = dirfd,
		.options = options ? options : &none,
	};
	struct pack_pool *own = NULL;
	int rc;

	if (pack_index_check(index, reader->name, x.options->max_path, x.options->prefix, err) < 0)
		return -1;
	x.threads = choose_threads(x.options);
	x.piece = x.options->block_size && x.options->block_size < BLOCK_SIZE ? x.options->block_size : BLOCK_SIZE;
	x.pool = x.options->pool;
	if (!x.pool) {
		x.pool = own = pack_pool_new(0, 0, err);
		if (!own)
			return -1;
	}
	if (x.piece > pack_pool_size(x.pool))
		x.piece = pack_pool_size(x.pool);
	pthread_mutex_init(&x.lock, NULL);
	rc = run(&x, err);
	if (stats)
		take_stats(&x, stats);
	pthread_mutex_destroy(&x.lock);
	pack_pool_free(own);
	return rc;
}
