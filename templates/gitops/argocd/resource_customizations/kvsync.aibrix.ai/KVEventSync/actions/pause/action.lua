if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["kvsync.aibrix.ai/paused"] = "true"
return obj
