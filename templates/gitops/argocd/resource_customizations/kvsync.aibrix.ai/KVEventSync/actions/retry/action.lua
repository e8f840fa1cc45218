-- Any new value will do. Counting needs no clock, and what is no number, or too large to be counted on, starts again.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
local count = tonumber(obj.metadata.annotations["kvsync.aibrix.ai/retry"])
local after = "1"
if count ~= nil and count >= 1 and count < 1e12 then
  after = tostring(count + 1)
end
obj.metadata.annotations["kvsync.aibrix.ai/retry"] = after
return obj
