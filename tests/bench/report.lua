-- SPDX-License-Identifier: MIT
-- wrk's summary as one line: requests/s, p99 in microseconds, requests that failed
done = function(summary, latency, requests)
	local e = summary.errors
	io.write(string.format("\n%.0f %.0f %d\n", summary.requests / (summary.duration / 1e6),
		latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
