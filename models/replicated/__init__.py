"""Replicated secret sharing among three servers, for tables over records that nobody may join.

A column x is the sum of three shares in a ring, each uniform: x = s0 + s1 + s2. Server i holds s_i
and s_(i+1), so no server alone has all three, and any two have (Araki and others 2016). Server 0 is
the coordinator, 1 and 2 the members that the study names. s0 and s1 are keystreams of seeds; only
s2 is as long as the records. Products of two shared columns are sums of what each server can
compute by itself, so a table of counts takes one message of each server.
"""
