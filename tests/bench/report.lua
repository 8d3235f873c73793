-- SPDX-License-Identifier: MIT
-- wrk's summary as one line: requests/s, p50 and p99 in microseconds, requests that failed, all that were answered
done = function(summary, latency, requests)
	local e = summary.errors
	io.write(string.format("\n%.0f %.0f %.0f %d %d\n", summary.requests / (summary.duration / 1e6),
		latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout,
		summary.requests))
end
