#include <config.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "vhd/pcache_priv.h"

#define SLICES 256             /* of the whole; what each process takes at a time */
#define NEAR 16                /* a scan when less than 1/16 is free */
#define SPARE 8                /* a scan leaves 1/8 free */
#define KEEP_FREE_PART 20      /* of the file system */
#define KEEP_FREE_MAX (UINT64_C(2) << 30)
#define RETRY_MS 5000          /* after there was no room */
#define LOCK_TRIES 100         /* of a millisecond */
#define DRAFT_S 3600           /* drafts older than this are nobody's */

/* One file that may go. */
struct candidate {
	int64_t used;              /* ns */
	uint64_t bytes, number;
	unsigned version;          /* index of its directory */
};

struct scan {
	struct candidate *files;
	size_t count, room;
	char (*versions)[VERSION_NAME_MAX];
	unsigned nversions, versions_room;
	uint64_t bytes;
	bool failed;               /* out of memory: what is known counts */
};

static uint64_t allocated(const struct stat *st)
{
	return (uint64_t)st->st_blocks * 512;
}

static void *grown(void *array, size_t count, size_t size)
{
	return reallocarray(array, count ? count * 2 : 64, size);
}

static void add_file(struct scan *s, const struct stat *st, uint64_t number)
{
	struct candidate *bigger;

	s->bytes += allocated(st);
	if (s->count == s->room) {
		bigger = grown(s->files, s->room, sizeof(*s->files));
		if (!bigger) {
			s->failed = true;
			return;
		}
		s->files = bigger;
		s->room = s->room ? s->room * 2 : 64;
	}
	s->files[s->count++] = (struct candidate){
		.used = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
		.bytes = allocated(st), .number = number, .version = s->nversions };
}

static int add_version(struct scan *s, const char *name)
{
	void *bigger;

	if (s->nversions == s->versions_room) {
		bigger = grown(s->versions, s->versions_room, sizeof(*s->versions));
		if (!bigger) {
			s->failed = true;
			return -1;
		}
		s->versions = bigger;
		s->versions_room = s->versions_room ? s->versions_room * 2 : 64;
	}
	strcpy(s->versions[s->nversions], name);
	return 0;
}

static DIR *open_dir(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

/* A version without extents that no process has open. */
static void remove_empty(struct pcache *pc, DIR *dir, const char *name)
{
	if (flock(dirfd(dir), LOCK_EX | LOCK_NB) < 0)
		return;
	unlinkat(dirfd(dir), "drive", 0);
	unlinkat(pc->drives_fd, name, AT_REMOVEDIR);
}

static void scan_version(struct pcache *pc, struct scan *s, const char *name)
{
	DIR *dir = strlen(name) < VERSION_NAME_MAX ? open_dir(pc->drives_fd, name) : NULL;
	size_t before = s->count;
	const struct dirent *d;
	struct stat st;
	uint64_t number;

	if (!dir)
		return;
	while (add_version(s, name) == 0 && (d = readdir(dir))) {
		if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (pcache_extent_number(d->d_name, &number))
			add_file(s, &st, number);
		else if (d->d_name[0] == '.' && st.st_mtime + DRAFT_S < time(NULL))
			unlinkat(dirfd(dir), d->d_name, 0);
	}
	if (s->count > before)
		s->nversions++;
	else if (!s->failed)
		remove_empty(pc, dir, name);
	closedir(dir);
}

static void scan_all(struct pcache *pc, struct scan *s)
{
	DIR *dir = open_dir(pc->drives_fd, ".");
	const struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (d->d_name[0] != '.' && d->d_type != DT_REG)
			scan_version(pc, s, d->d_name);
	if (dir)
		closedir(dir);
}

static int by_age(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (x->used > y->used) - (x->used < y->used);
}

/* Remove what was used longest ago, at least `bytes`. */
static void evict(struct pcache *pc, struct scan *s, uint64_t bytes)
{
	char path[VERSION_NAME_MAX + 1 + EXTENT_NAME_MAX], name[EXTENT_NAME_MAX];
	uint64_t freed = 0;
	size_t i;

	qsort(s->files, s->count, sizeof(*s->files), by_age);
	for (i = 0; i < s->count && freed < bytes; i++) {
		const struct candidate *c = &s->files[i];

		pcache_extent_name(c->number, name);
		stpcpy(stpcpy(stpcpy(path, s->versions[c->version]), "/"), name);
		if (unlinkat(pc->drives_fd, path, 0) == 0)
			freed += c->bytes;
	}
	s->bytes -= freed < s->bytes ? freed : s->bytes;
	pcache_add(pc, &pc->stats.evicted_bytes, freed);
}

/* How many bytes too few the file system has free. */
static uint64_t short_of_space(const struct pcache *pc, uint64_t more)
{
	struct statvfs fs;
	uint64_t keep;

	if (fstatvfs(pc->drives_fd, &fs) < 0)
		return 0;
	keep = (uint64_t)fs.f_blocks * fs.f_frsize / KEEP_FREE_PART;
	if (keep > KEEP_FREE_MAX)
		keep = KEEP_FREE_MAX;
	keep += more;
	return (uint64_t)fs.f_bavail * fs.f_frsize < keep ? keep - (uint64_t)fs.f_bavail * fs.f_frsize : 0;
}

/* Count, and evict what must go for `more` bytes. The room's lock is held. How much
 * is used then. */
static uint64_t make_room(struct pcache *pc, uint64_t more)
{
	uint64_t most = pc->limit - pc->limit / SPARE, need = short_of_space(pc, more);
	struct scan s = { .count = 0 };

	scan_all(pc, &s);
	if (s.bytes + more > pc->limit - pc->limit / NEAR && s.bytes + more > most &&
	    need < s.bytes + more - most)
		need = s.bytes + more - most;
	if (need)
		evict(pc, &s, need);
	free(s.files);
	free(s.versions);
	return s.bytes;
}

/* Who has it counts, perhaps: worth a moment, but not for ever, as it may be a
 * process that was stopped. */
static bool lock_room(const struct pcache *pc)
{
	int tries = LOCK_TRIES;

	while (flock(pc->room_fd, LOCK_EX | LOCK_NB) < 0) {
		if (--tries == 0)
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return true;
}

static void unlock_room(const struct pcache *pc)
{
	flock(pc->room_fd, LOCK_UN);
}

static bool read_used(const struct pcache *pc, uint64_t *used)
{
	return pread(pc->room_fd, used, sizeof(*used), 0) == sizeof(*used);
}

/* Where it can't be written, others count more often: no harm. */
static void write_used(const struct pcache *pc, uint64_t used)
{
	if (pwrite(pc->room_fd, &used, sizeof(used), 0) != sizeof(used))
		return;
}

bool pcache_room_take(struct pcache *pc, uint64_t bytes)
{
	uint64_t slice = pc->limit / SLICES > bytes ? pc->limit / SLICES : bytes, used;
	bool enough;

	if (pc->allowance >= bytes) {
		pc->allowance -= bytes;
		return true;
	}
	if (pcache_now_ms() < pc->room_retry_ms || !lock_room(pc))
		return false;
	if (!read_used(pc, &used) || used + slice > pc->limit - pc->limit / NEAR || short_of_space(pc, slice))
		used = make_room(pc, slice);
	enough = used + slice <= pc->limit && !short_of_space(pc, slice);
	if (enough) {
		write_used(pc, used + slice);
		pc->allowance += slice - bytes;
	} else {
		pc->room_retry_ms = pcache_now_ms() + RETRY_MS;
		write_used(pc, used);
	}
	unlock_room(pc);
	return enough;
}

void pcache_room_check(struct pcache *pc)
{
	if (!lock_room(pc))
		return;
	write_used(pc, make_room(pc, 0));
	unlock_room(pc);
}
