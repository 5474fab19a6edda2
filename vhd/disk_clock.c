#include <config.h>

#include <time.h>

#include "vhd/disk_priv.h"

#define TICK_MS 200

uint64_t disk_now_us(const struct disk *d)
{
	struct timespec ts;

	if (d->o.clock_us)
		return d->o.clock_us();
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static bool clock_needed(const struct disk *d)
{
	return d->starved || d->blocked || d->flushes || d->discards || d->discards_blocked ||
	       (d->dirty_sectors && !d->o.overlay);
}

void *disk_clock_main(void *arg)
{
	struct disk *d = arg;

	disk_enter(d);
	while (d->clock_runs) {
		struct timespec until;
		uint64_t now;

		if (!clock_needed(d)) {
			pthread_cond_wait(&d->tick, &d->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += TICK_MS * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000L;
		}
		pthread_cond_timedwait(&d->tick, &d->lock, &until);
		now = disk_now_ms();
		disk_reads_expire(d, now);
		disk_writes_expire(d, now);
		disk_flushes_expire(d, now);
		disk_discards_expire(d, now);
		disk_wake(d);
		disk_leave(d);
		disk_enter(d);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}
