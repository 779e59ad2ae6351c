// Roles on one queue.
param namespaceName string
param queueName string
param principalId string

@allowed([
  'Group'
  'ServicePrincipal'
  'User'
])
param principalType string

@description('IDs of role definitions.')
param roleIds string[]

resource namespace 'Microsoft.ServiceBus/namespaces@2026-01-01' existing = {
  name: namespaceName

  resource queue 'queues' existing = {
    name: queueName
  }
}

resource assignments 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for roleId in roleIds: {
    scope: namespace::queue
    name: guid(namespace::queue.id, principalId, roleId)
    properties: {
      principalId: principalId
      principalType: principalType
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleId)
    }
  }
]
