if obj.metadata.annotations ~= nil then
  obj.metadata.annotations["kvsync.aibrix.ai/paused"] = nil
  obj.metadata.annotations["kvsync.aibrix.ai/plan-only"] = nil
  -- An empty table comes out of Lua as a list, and older releases of Argo CD put the old annotations back then.
  if next(obj.metadata.annotations) == nil then
    obj.metadata.annotations = nil
  end
end
return obj
