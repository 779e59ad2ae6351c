// What the app may do to VMs in one subscription: assess those in all of it or in some of its
// resource groups, and follow the operations, whose URLs lie under the subscription in either case.
targetScope = 'subscription'

param principalId string

@description('The resource groups whose VMs may be assessed; empty: all of the subscription.')
param resourceGroups string[]

var roles = loadJsonContent('../vm-roles.json')

// A role's name is unique in the tenant, so it carries the subscription that it is for.
resource assessorRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, roles.assessor.name)
  properties: {
    roleName: '${roles.assessor.name} ${subscription().subscriptionId}'
    description: roles.assessor.description
    type: 'CustomRole'
    assignableScopes: [subscription().id]
    permissions: [
      { actions: roles.assessor.actions }
    ]
  }
}

resource operationReaderRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, roles.operationReader.name)
  properties: {
    roleName: '${roles.operationReader.name} ${subscription().subscriptionId}'
    description: roles.operationReader.description
    type: 'CustomRole'
    assignableScopes: [subscription().id]
    permissions: [
      { actions: roles.operationReader.actions }
    ]
  }
}

resource operationReader 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, principalId, operationReaderRole.id)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: operationReaderRole.id
  }
}

resource assessor 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (empty(resourceGroups)) {
  name: guid(subscription().id, principalId, assessorRole.id)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: assessorRole.id
  }
}

module groups 'vm-resource-group.bicep' = [
  for name in resourceGroups: {
    name: 'vm-access-${uniqueString(principalId, name)}'
    scope: resourceGroup(name)
    params: {
      principalId: principalId
      roleDefinitionId: assessorRole.id
    }
  }
]
