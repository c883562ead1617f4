// SPDX-License-Identifier: Apache-2.0
/* The CNI plugin: hands its call to netd, beside it in netd.sock, and prints the answer.
 *
 *   request   CNI_*=value NUL ... NUL, then standard input     answer   '0' or '1', then standard output
 *
 * C, because an interpreter costs 25 ms a pod where this costs one (bench: a sandbox with each).
 * Source: CNI specification 0.4.0, "Parameters" and "Well-known Error Codes" (11: try again).
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

extern char **environ;

static void copy(int from, int to)
{
	char buffer[1 << 14];
	ssize_t n;

	while ((n = read(from, buffer, sizeof(buffer))) > 0)
		for (ssize_t done = 0, m; done < n; done += m)
			if ((m = write(to, buffer + done, n - done)) <= 0)
				return;
}

int main(void)
{
	struct sockaddr_un netd = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t n = readlink("/proc/self/exe", netd.sun_path, sizeof(netd.sun_path) - sizeof("netd.sock"));
	char status = 0;

	signal(SIGPIPE, SIG_IGN);
	while (n > 0 && netd.sun_path[n - 1] != '/')
		n--;
	if (n > 0)
		strcpy(netd.sun_path + n, "netd.sock");
	if (n > 0 && connect(fd, (struct sockaddr *)&netd, sizeof(netd)) == 0) {
		for (char **entry = environ; *entry; entry++)
			if (strncmp(*entry, "CNI_", 4) == 0)
				send(fd, *entry, strlen(*entry) + 1, 0);
		send(fd, "", 1, 0);
		copy(STDIN_FILENO, fd);
		shutdown(fd, SHUT_WR);
		if (read(fd, &status, 1) == 1)
			copy(fd, STDOUT_FILENO);
	}
	if (status == 0)
		puts("{\"cniVersion\":\"0.4.0\",\"code\":11,\"msg\":\"netd does not answer: the node's network daemon is down\"}");
	return status != '0';
}
