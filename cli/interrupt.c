#include <config.h>

#include "cli/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blob/base/cleanup.h"

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

static struct sigaction before[ARRAY_LEN(signals)];
static volatile sig_atomic_t caught;
static int event = -1;
static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool held;                       /* under lock */
static void (*function)(void *arg);
static void *argument;

static void wake(void)
{
	const uint64_t one = 1;

	if (write(event, &one, sizeof(one)) < 0) {
		/* It is full: the thread is awake. */
	}
}

static void handle(int number)
{
	int saved = errno;

	if (caught)
		_exit(128 + number);
	caught = number;
	wake();
	errno = saved;
}

static void *wait_for_signal(void *arg)
{
	uint64_t count;

	while (read(event, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&lock);
	if (caught && !held)
		function(argument);
	pthread_mutex_unlock(&lock);
	return NULL;
}

int interrupt_start(void (*fn)(void *arg), void *arg, struct err *err)
{
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
	int rc;

	function = fn;
	argument = arg;
	caught = 0;
	held = false;
	event = eventfd(0, EFD_CLOEXEC);
	if (event < 0)
		return err_set_errno(err, errno, "eventfd");
	rc = pthread_create(&thread, NULL, wait_for_signal, NULL);
	if (rc) {
		close(event);
		event = -1;
		return err_set_errno(err, rc, "can't start a thread");
	}
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		sigaction(signals[i], NULL, &before[i]);
		/* nohup(1) stays in force; an ignored SIGINT is only how a shell
		 * starts a background job. */
		if (signals[i] != SIGHUP || before[i].sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
	return 0;
}

void interrupt_hold(void)
{
	pthread_mutex_lock(&lock);
	held = true;
	pthread_mutex_unlock(&lock);
}

void interrupt_stop(void)
{
	if (event < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &before[i], NULL);
	interrupt_hold();
	wake();
	pthread_join(thread, NULL);
	close(event);
	event = -1;
}

int interrupt_signal(void)
{
	return caught;
}
