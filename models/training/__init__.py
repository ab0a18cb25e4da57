"""Training with a secure sum: what is agreed on before, and each party's part of a step.

    terms      what a study asks for, as public numbers
    recipe     steps, clip and step size, without a look at data
    search     the least noise that is enough
    plan       the terms with the noise that keeps them: sampler, clip, noise, events, sums
    steps      a node's integers and the coordinator's arithmetic under a plan
    averaged   federated averaging under masks: the integers of updates that carry all their noise

Pure functions over frozen values; runs drive them from `node.gate` and `coordinator.rounds`.
"""
