/* Where content is kept. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blob/base/log.h"
#include "fs/unpack_priv.h"

static uint64_t charge_of(const struct member *m)
{
	return ((m->entry.size + 4095) & ~UINT64_C(4095)) + sizeof(*m);
}

/* Mapping and unmapping is dear for what is small. */
#define SMALL (128u << 10)

static uint8_t *map(uint64_t bytes)
{
	void *p;

	if (bytes <= SMALL)
		return malloc(bytes);
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void unmap(uint8_t *data, uint64_t bytes)
{
	if (bytes <= SMALL)
		free(data);
	else
		munmap(data, bytes);
}

/* The one that went unused longest. A window counts only as such. */
static struct member *oldest(struct unpack *u, bool window)
{
	struct member *m = u->lru.lru_next;

	while (m != &u->lru && (m->window != window || m->pins))
		m = m->lru_next;
	return m == &u->lru ? NULL : m;
}

static bool evict(struct unpack *u, bool window)
{
	struct member *m = oldest(u, window);

	if (!m)
		return false;
	u->stats.evicted++;
	unpack_reset(m);
	return true;
}

bool unpack_make_room(struct unpack *u, uint64_t bytes)
{
	if (bytes > u->room)
		return false;
	while (u->stats.used > u->room - bytes)
		if (!evict(u, false))
			return false;
	return true;
}

static bool open_file(struct member *m)
{
	m->fd = openat(m->u->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (m->fd < 0)
		log_warn("%s: can't make a file for %s: %s; it is unpacked into memory, part by part",
			 m->u->o.dir, m->entry.path, strerror(errno));
	return m->fd >= 0;
}

bool unpack_place_whole(struct member *m)
{
	struct unpack *u = m->u;
	uint64_t charge = charge_of(m);

	if (!unpack_make_room(u, charge))
		return false;
	if (u->dir_fd >= 0 ? !open_file(m) : !(m->data = map(m->entry.size)))
		return false;
	m->charge = charge;
	u->stats.used += charge;
	return true;
}

/* There are more windows than threads, so some are not at work: parked, or queued, and
 * then such a one has to begin again. False: all of these are being copied out. */
static bool take_window(struct unpack *u)
{
	struct member *m;

	if (evict(u, true))
		return true;
	for (m = u->queue; m; m = m->queue_next)
		if (m->window && !m->pins) {
			unpack_vacate(m);
			return true;
		}
	return false;
}

bool unpack_place_window(struct member *m)
{
	struct unpack *u = m->u;

	while (u->windows >= u->windows_max && !take_window(u))
		pthread_cond_wait(&u->unpinned, &u->lock);
	m->data = map(u->window_bytes);
	if (!m->data)
		return false;
	m->window = true;
	u->windows++;
	return true;
}

bool unpack_place(struct member *m)
{
	m->low = m->made = m->served = 0;
	return unpack_place_whole(m) || unpack_place_window(m);
}

void unpack_vacate(struct member *m)
{
	struct unpack *u = m->u;

	if (m->data)
		unmap(m->data, m->window ? u->window_bytes : m->entry.size);
	if (m->fd >= 0)
		close(m->fd);
	if (m->window)
		u->windows--;
	u->stats.used -= m->charge;
	m->data = NULL;
	m->fd = -1;
	m->window = false;
	m->charge = 0;
	m->low = m->made = m->served = 0;
	m->right = false;
	inflater_put(u, m->inflater);
	m->inflater = NULL;
}

static int write_all(int fd, const uint8_t *data, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		data += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int unpack_put(struct member *m, const uint8_t *data, size_t len)
{
	struct unpack *u = m->u;
	bool gone = true;
	int why;

	while ((why = write_all(m->fd, data, len, m->made)) == ENOSPC && gone) {
		pthread_mutex_lock(&u->lock);
		gone = evict(u, false);
		pthread_mutex_unlock(&u->lock);
	}
	return why;
}

uint8_t *unpack_space(struct member *m, size_t *len)
{
	size_t within, most = m->u->window_bytes;

	if (m->fd >= 0)
		return NULL;
	if (!m->window) {
		if (*len > m->entry.size - m->made)
			*len = m->entry.size - m->made;
		return m->data + m->made;
	}
	within = (size_t)(m->made % most);
	if (*len > most / 4)
		*len = most / 4;
	if (*len > most - within)
		*len = most - within;
	return m->data + within;
}
